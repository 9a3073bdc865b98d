"""Generates Python code and type stubs from `protos/`. `--check` only says whether what is committed is
current."""

from __future__ import annotations

import argparse
import filecmp
import os
import shutil
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
PACKAGES = ("alerthub/api/v1", "buf/validate")


def generate(target: Path) -> None:
    """Writes the generated packages below `target`. Raises SystemExit with protoc's status when it fails."""
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    sources = sorted(str(path) for package in PACKAGES for path in (PROTOS / package).glob("*.proto"))
    own = [source for source in sources if "/alerthub/" in source]
    include = [f"-I{PROTOS}", f"-I{files('grpc_tools') / '_proto'}"]
    status = protoc.main(
        ["protoc", *include, f"--python_out={target}", f"--mypy_out=quiet:{target}", *sources]
    )
    status = status or protoc.main(
        ["protoc", *include, f"--grpc_python_out={target}", f"--mypy_grpc_out=quiet:{target}", *own]
    )
    if status:
        raise SystemExit(status)
    for path in target.glob("alerthub/api/v1/*_pb2_grpc.pyi"):
        if not path.with_suffix(".py").exists():
            path.unlink()
    for path in target.glob("alerthub/api/v1/*_pb2_grpc.py"):
        if "Servicer" not in path.read_text(encoding="utf-8"):
            path.unlink()
            path.with_suffix(".pyi").unlink(missing_ok=True)
    for folder in ("alerthub/api", "alerthub/api/v1", "buf", "buf/validate"):
        (target / folder / "__init__.py").write_text('"""Generated from protos."""\n', encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="change nothing; exit 1 when the code is not current"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        generate(fresh)
        if arguments.check:
            stale = [
                str(path.relative_to(fresh))
                for path in sorted(fresh.rglob("*.py*"))
                if not (ROOT / path.relative_to(fresh)).exists()
                or not filecmp.cmp(path, ROOT / path.relative_to(fresh), shallow=False)
            ]
            if stale:
                names = ", ".join(stale)
                sys.exit(f"Generated code is not current: {names}. Run `make protos` and commit it.")
            return
        for package in PACKAGES:
            shutil.rmtree(ROOT / package, ignore_errors=True)
        shutil.copytree(fresh, ROOT, dirs_exist_ok=True)


if __name__ == "__main__":
    main()
