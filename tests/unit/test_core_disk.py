"""What Prometheus is told of the disks that a process writes to."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

from prometheus_client import REGISTRY

from alerthub import disk


def _told(name: str, folder: str) -> float:
    value = REGISTRY.get_sample_value(f"alerthub_disk_{name}_bytes", {"folder": folder})
    assert value is not None
    return value


def test_a_folders_disk_is_told_at_each_scrape(tmp_path: Path) -> None:
    disk.watch("of a test", tmp_path)

    assert _told("size", "of a test") == shutil.disk_usage(tmp_path).total
    assert 0 < _told("free", "of a test") < _told("size", "of a test")


def test_a_folder_that_is_gone_has_no_number_and_breaks_no_scrape(tmp_path: Path) -> None:
    disk.watch("of a test", tmp_path / "gone")

    assert math.isnan(_told("free", "of a test"))
