"""One cluster for all tests of this folder, and a namespace of its own for each story."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / "tests" / "contract"), str(ROOT / "tools")]

import build_kubernetes  # noqa: E402
from cluster import Cluster  # noqa: E402
from release import Release, Town, deal_out  # noqa: E402


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    kubernetes = build_kubernetes.built()
    missing = build_kubernetes.missing(kubernetes)
    assert not missing, f"{', '.join(missing)} missing: `make kubernetes` builds and fetches what is"
    with Cluster(kubernetes, tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture(scope="session")
def shares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What docs/kubernetes.md has people deal out before they install."""
    return deal_out(tmp_path_factory.mktemp("files"))


@pytest.fixture(scope="session")
def town(cluster: Cluster, shares: Path) -> Town:
    return Town(cluster, shares)


@pytest.fixture(scope="module")
def make_release(town: Town) -> Callable[[str], Release]:
    """A release that is not installed yet, with the values of a file of `ci/`, in a namespace of its own."""
    return town.release
