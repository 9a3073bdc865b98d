"""One hub for all tests of this folder: it takes half a minute to start."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from hub_driver import Hub


@pytest.fixture(scope="package")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    running = Hub(tmp_path_factory.mktemp("whole-hub"), tell=lambda line: print(line, file=sys.stderr))
    running.start()
    yield running
    running.stop()
