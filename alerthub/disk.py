"""How much is free on the disks that a process writes to."""

from __future__ import annotations

import shutil
from pathlib import Path

from prometheus_client import Gauge

_free = Gauge("alerthub_disk_free_bytes", "Free on the disk of this folder.", ["folder"])
_size = Gauge("alerthub_disk_size_bytes", "Size of the disk of this folder.", ["folder"])


def watch(name: str, folder: Path) -> None:
    """Tells of the disk on which `folder` lies, under a name that says what it is for. Each scrape asks."""
    _free.labels(name).set_function(lambda: _bytes(folder, "free"))
    _size.labels(name).set_function(lambda: _bytes(folder, "total"))


def _bytes(folder: Path, which: str) -> float:
    try:
        return float(getattr(shutil.disk_usage(folder), which))
    except OSError:
        # A scrape must not fail for it, and no number is better than a wrong one.
        return float("nan")
