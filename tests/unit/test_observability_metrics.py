"""What metrics may say: labels that a person has looked at, and never who or what was seen."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import REGISTRY

import alerthub
import services

ALLOWED_LABELS = Path(__file__).with_name("metric_labels.txt")
_BUCKETS = {"le", "quantile"}


def _modules() -> Iterator[str]:
    """Every module in which a metric may be made, but programs that run when they are imported."""
    for package in (alerthub, services):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.endswith(".__main__") and ".web" not in found.name:
                yield found.name


def _labels() -> set[str]:
    """NAME: LABEL, LABEL of each of the hub's metrics, by what made it and not by what it has counted."""
    for name in _modules():
        importlib.import_module(name)
    found = set()
    for name, made in REGISTRY._names_to_collectors.items():
        labels = getattr(made, "_labelnames", ())
        own = getattr(made, "_name", None)
        if own == name and name.startswith(("alerthub_", "grpc_")):
            found.add(f"{name}: {', '.join(labels)}".rstrip(": "))
    return found


def test_every_label_of_every_metric_is_on_the_list_that_people_read() -> None:
    # given a list that a person reads and extends when a metric is added
    listed = set(ALLOWED_LABELS.read_text(encoding="utf-8").splitlines())

    # when every module of the hub has made its metrics
    made = _labels()

    # then none is there that nobody looked at, and none is listed that is gone
    assert sorted(made - listed) == []
    assert sorted(listed - made) == []


def test_no_label_is_a_device_a_unit_a_person_an_entry_or_a_token() -> None:
    labels = {
        label
        for line in ALLOWED_LABELS.read_text(encoding="utf-8").splitlines()
        for label in line.partition(": ")[2].split(", ")
    }
    who_and_what = ("device", "unit", "person", "officer", "account", "entry", "token", "plate", "terminal")
    assert [label for label in labels for word in who_and_what if word in label] == []
