"""The hub's wire, compiled from the .proto files into a temporary folder at run time."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import grpc_tools
from grpc_tools import protoc

PROTOS = Path(__file__).resolve().parent.parent / "protos"


def compile_protos(into: Path) -> SimpleNamespace:
    """Every message and stub of the hub as attributes: `wire.SignInRequest`, `wire.DispatchServiceStub`.

    Nothing of the hub's own Python code is loaded: its package name is taken by the compiled one.
    """
    files = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))
    well_known = Path(grpc_tools.__file__).parent / "_proto"
    arguments = [
        "protoc",
        f"-I{PROTOS}",
        f"-I{well_known}",
        f"--python_out={into}",
        f"--grpc_python_out={into}",
    ]
    if protoc.main([*arguments, *files]) != 0:
        raise SystemExit("the .proto files do not compile")
    for folder in {parent for path in into.rglob("*.py") for parent in path.parents}:
        if into in folder.parents:
            (folder / "__init__.py").touch()
    sys.path.insert(0, str(into))
    gathered = SimpleNamespace()
    for file in files:
        if not file.startswith("alerthub/"):
            continue
        name = file.removesuffix(".proto").replace("/", ".")
        for suffix in ("_pb2", "_pb2_grpc"):
            vars(gathered).update(_public(importlib.import_module(name + suffix)))
    if not str(Path(sys.modules["alerthub"].__file__ or "")).startswith(str(into)):
        raise SystemExit("the hub's own package was loaded; acceptance must not use it")
    return gathered


def _public(module: ModuleType) -> dict[str, object]:
    return {name: value for name, value in vars(module).items() if not name.startswith("_")}
