"""Where Prometheus's programs are, and what the rules say."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"


def program(name: str) -> str:
    """The path of prometheus, promtool or amtool, as `tools/install_prometheus.sh` leaves it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    unpacked = cache / "alerthub" / "prometheus" / "usr" / "bin" / name
    found = str(unpacked) if unpacked.exists() else shutil.which(name)
    assert found, f"{name} is missing: tools/install_prometheus.sh fetches it"
    return found


def rules() -> Iterator[dict[str, Any]]:
    """Every rule of every file."""
    for path in sorted((PROMETHEUS / "rules").glob("*.yml")):
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
            yield from group["rules"]


def alerts() -> list[dict[str, Any]]:
    """Those that tell somebody."""
    return [rule for rule in rules() if "alert" in rule]
