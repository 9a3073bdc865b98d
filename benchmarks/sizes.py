"""What things weigh: an observation and a record on Kafka, and a replica of the reference city in memory.

The figures that `alerthub capacity` reckons with. The replica is measured as what a process of its own grows
by while it takes in the five topics, with a tenth of the watchlist and with all of it.
"""

from __future__ import annotations

import os
import sys
from multiprocessing import get_context
from pathlib import Path

from benchmarks import _correlator_load as load
from services.correlator.replicas import Reference

_MANY = 256
_SAMPLES = 40


def run() -> None:
    """Prints the figures."""
    one, many = _batch_bytes(1), _batch_bytes(_MANY)
    observation = (many - one) / (_MANY - 1)
    sys.stdout.write(f"an observation on Kafka: {observation:.0f} bytes\n")
    sys.stdout.write(f"a record around its observations: {one - observation:.0f} bytes\n")
    all_of_it, tenth = _grown(load.ENTRIES), _grown(load.ENTRIES // 10)
    entry = (all_of_it - tenth) / (load.ENTRIES * 0.9)
    sys.stdout.write(f"an entry in a correlator's memory: {entry:.0f} bytes\n")
    devices = tenth - entry * load.ENTRIES / 10
    sys.stdout.write(
        f"the rest of the reference city ({load.DEVICES} devices, {load.ZONES} zones with a rule each):"
        f" {devices / 1_000_000:.0f} MB, {devices / load.DEVICES:.0f} bytes a device\n"
    )


def _batch_bytes(size: int) -> float:
    return sum(len(batch) for _, batch in load.batches(_SAMPLES, size, seed=1)) / _SAMPLES


def _grown(entries: int) -> float:
    """Bytes, in a process of its own: what another measurement freed would be used again."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(_fill, (entries,))


def _fill(entries: int) -> float:
    load.ENTRIES = entries
    reference = Reference()
    before = _resident()
    load.fill(reference)
    return _resident() - before


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return float(pages * os.sysconf("SC_PAGE_SIZE"))
