"""For every test process: what was imported is no garbage, so it is not searched for any, and little else is;
and how long an example takes is no result of a test, since other processes take the machine meanwhile."""

from __future__ import annotations

import gc
import os

import pytest
from hypothesis import settings

# Examples of each property: some while somebody works, and more in the whole run, which names the profile.
settings.register_profile("quick", max_examples=40, deadline=None)
settings.register_profile("thorough", max_examples=100, deadline=None)
settings.load_profile("quick")

GC_THRESHOLDS = (100_000, 50, 50)
"""Of the three generations. The interpreter's own (700, 10, 10) cost the fast tests a tenth of their
processor time."""

# The interpreter would go through each module's objects again and again: a fifth of the fast tests' time.
gc.disable()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--backend",
        choices=("embedded", "testcontainers"),
        default="embedded",
        help="Where the integration tests' Kafka and PostgreSQL run: from wheels, or in containers.",
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: the fast tests also wait, for sockets and clocks."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_finish(session: pytest.Session) -> None:
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    gc.enable()
