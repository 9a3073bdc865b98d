"""Compares what is with what must be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from city import City, Listing
from screens import Terminal
from traffic import Truth

NEVER_ON_A_SCREEN = frozenset(
    {
        Listing.PERSON_UNCONFIRMED,
        Listing.UNAPPROVED,
        Listing.EXPIRED,
        Listing.UNAUTHORISED,
        Listing.URL_TOKEN,
    }
)


@dataclass(frozen=True)
class Ledger:
    """What the correlators counted, over all of the run."""

    received: int
    repeats: int
    matched: int
    late: int
    dropped: int
    dead_lettered: int

    @property
    def distinct(self) -> int:
        """Observations without their repeats."""
        return self.received - self.repeats

    @property
    def forgotten(self) -> int:
        """What matched nothing: what is left."""
        return self.distinct - self.matched - self.late - self.dropped


def on_screens(terminals: Sequence[Terminal], truth: Truth) -> list[str]:
    """0 missing, 0 double, nothing else."""
    problems = []
    held: Counter[str] = Counter()
    for terminal in terminals:
        for push in terminal.screen.values():
            held[push.alert.fold_key] += 1
    for key in sorted(truth.on_screen.keys() - held.keys()):
        problems.append(f"missing on every screen: {key}")
    for key in sorted(held.keys() - truth.on_screen.keys()):
        problems.append(f"on a screen and must not be: {key}")
    problems.extend(f"on {count} screens: {key}" for key, count in sorted(held.items()) if count > 1)
    return problems


def never_shown(terminals: Sequence[Terminal], city: City) -> list[str]:
    """The controls: nothing of them was on a screen at any time."""
    listing_of = {plate.entry_id: plate.listing for plate in city.plates}
    problems = []
    for terminal in terminals:
        for push in terminal.ever_shown.values():
            listing = listing_of.get(push.alert.entry_id)
            if listing in NEVER_ON_A_SCREEN:
                problems.append(f"{terminal.terminal_id} was shown an entry that is {listing.value}")
            if listing is Listing.PERSON_CONFIRMED and not push.alert.confirmed_by:
                problems.append(f"{terminal.terminal_id} was shown a person alert before its confirmation")
            if push.alert.entry_id and listing is None:
                problems.append(f"{terminal.terminal_id} was shown an entry that nobody made")
    return problems


def sightings(alerts: Sequence[Any], truth: Truth) -> list[str]:
    """Every alert that must exist exists once, with each read counted once."""
    problems = []
    by_key: dict[str, list[Any]] = {}
    for alert in alerts:
        by_key.setdefault(alert.fold_key, []).append(alert)
    for key, expected in sorted(truth.sightings.items()):
        found = by_key.get(key, [])
        if len(found) != 1:
            problems.append(f"{len(found)} alerts instead of one: {key}")
            continue
        counted, most = found[0].sighting_count, expected + truth.possibly_more.get(key, 0)
        if not expected <= counted <= most:
            problems.append(f"{counted} sightings instead of {expected} to {most}: {key}")
    problems.extend(f"an alert of nothing: {key}" for key in sorted(by_key.keys() - truth.sightings.keys()))
    return problems


def balance(ledger: Ledger, truth: Truth, *, acknowledged: int) -> list[str]:
    """acknowledged = forgotten + matched + dropped + late + dead-lettered, each as computed."""
    problems = []
    if ledger.distinct + ledger.dead_lettered != acknowledged:
        problems.append(
            f"{acknowledged} distinct observations were acknowledged, the ledger has {ledger.distinct}"
            f" and {ledger.dead_lettered} dead-lettered"
        )
    late = truth.counts["late"]
    if ledger.matched + ledger.late != truth.counts["matched"] + late:
        problems.append(
            f"matched and late are {ledger.matched} + {ledger.late} instead of"
            f" {truth.counts['matched']} + {late}"
        )
    if not truth.counts["matched"] <= ledger.matched <= truth.counts["matched"] + late:
        problems.append(f"{ledger.matched} matched instead of {truth.counts['matched']}")
    for name, is_, must in (
        ("dropped", ledger.dropped, truth.counts["dropped"]),
        ("forgotten", ledger.forgotten, truth.counts["forgotten"]),
    ):
        if is_ != must:
            problems.append(f"{is_} {name} instead of {must}")
    return problems


def as_table(ledger: Ledger, truth: Truth, *, acknowledged: int, answers: Mapping[int, int]) -> str:
    """For people."""
    lines = [
        f"acknowledged, distinct   {acknowledged:>9}",
        f"  forgotten              {ledger.forgotten:>9}   computed {truth.counts['forgotten']}",
        f"  matched                {ledger.matched:>9}   computed {truth.counts['matched']}",
        f"  identifiers dropped    {ledger.dropped:>9}   computed {truth.counts['dropped']}",
        f"  late                   {ledger.late:>9}   computed {truth.counts['late']}",
        f"  dead-lettered          {ledger.dead_lettered:>9}   computed 0",
        f"repeats                  {ledger.repeats:>9}   on top of the distinct ones",
        f"answers to devices       {dict(sorted(answers.items()))}",
    ]
    return "\n".join(lines)
