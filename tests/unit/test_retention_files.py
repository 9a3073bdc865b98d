"""What bounds the files that no job sweeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from alerthub.embedded import processes


def test_of_a_services_logs_one_older_file_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # given a log that has grown over its bound twice, and a start after each time
    monkeypatch.setattr(processes, "_LOG_ROTATION_BYTES", 4)
    log_file = tmp_path / "gateway-1.log"
    for content in ("first", "second"):
        log_file.write_text(content)
        processes.rotate(log_file)

    # then the newer one lies there as the older file, and the first is gone
    assert [path.read_text() for path in tmp_path.iterdir()] == ["second"]
