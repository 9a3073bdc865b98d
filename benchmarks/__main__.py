"""Runs the named benchmarks, or all: every module of this package that has a `run` and no underscore before
its name."""

from __future__ import annotations

import importlib
import os
import pkgutil
import platform
import sys
from collections.abc import Callable
from typing import TypeAlias

import benchmarks
from benchmarks._machine import yardsticks

Run: TypeAlias = Callable[[], None]


def found() -> dict[str, Run]:
    """The benchmarks by name."""
    runs: dict[str, Run] = {}
    for module in pkgutil.iter_modules(benchmarks.__path__):
        if not module.name.startswith("_"):
            run = getattr(importlib.import_module(f"benchmarks.{module.name}"), "run", None)
            if run is not None:
                runs[module.name] = run
    return runs


def main() -> int:
    runs = found()
    wanted = sys.argv[1:] or sorted(runs)
    unknown = [name for name in wanted if name not in runs]
    if unknown:
        sys.stderr.write(f"no benchmark {', '.join(unknown)}: there are {', '.join(sorted(runs))}\n")
        return 2
    sys.stdout.write(
        f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, "
        f"load average {os.getloadavg()[0]:.1f}\n"
    )
    for name in wanted:
        sys.stdout.write(f"\n== {name}\n{yardsticks()}\n")
        runs[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main())
