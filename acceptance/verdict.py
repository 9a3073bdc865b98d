"""Compares what is with what must be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from city import City, Listing
from screens import Terminal
from traffic import Between, Truth

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


def key_of(alert: Any) -> str:
    """Which of the truth's keys an alert belongs to: its entry, or the sensor at which something stood."""
    if alert.entry_id:
        return f"entry:{alert.entry_id}"
    return f"stays:{alert.sightings[-1].device_id}" if alert.sightings else f"unknown:{alert.rule_id}"


def on_screens(terminals: Sequence[Terminal], truth: Truth) -> list[str]:
    """0 missing, 0 double, nothing else; and no alert is on two screens."""
    alerts = [push.alert for terminal in terminals for push in terminal.screen.values()]
    held = Counter(key_of(alert) for alert in alerts)
    problems = _compared(held, truth.on_screen, "on screens")
    twice = [key for key, count in Counter(alert.alert_id for alert in alerts).items() if count > 1]
    return problems + [f"one alert on two screens: {alert_id}" for alert_id in sorted(twice)]


def _compared(counts: Mapping[str, int], wanted: Mapping[str, Between], where: str) -> list[str]:
    problems = []
    for key in sorted(counts.keys() | wanted.keys()):
        must = wanted.get(key, Between(0, 0))
        count = counts.get(key, 0)
        if count not in must:
            problems.append(f"{count} instead of {must} {where}: {key}")
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


def alerts_and_sightings(alerts: Sequence[Any], truth: Truth) -> list[str]:
    """Every alert that must exist exists once, with each read counted once."""
    problems = _compared(Counter(key_of(alert) for alert in alerts), truth.alerts, "alerts")
    counted = Counter[str]()
    for alert in alerts:
        if alert.entry_id:
            counted[key_of(alert)] += alert.sighting_count
    return problems + _compared(counted, truth.sightings, "sightings")


def balance(ledger: Ledger, truth: Truth, *, acknowledged: int) -> list[str]:
    """acknowledged = forgotten + matched + dropped + late + dead-lettered, each as computed."""
    problems = []
    if ledger.distinct + ledger.dead_lettered != acknowledged:
        problems.append(
            f"{acknowledged} distinct observations were acknowledged, the ledger has {ledger.distinct}"
            f" and {ledger.dead_lettered} dead-lettered"
        )
    for name, count, must in (
        ("forgotten", ledger.forgotten, truth.forgotten),
        ("matched", ledger.matched, truth.matched),
        ("late", ledger.late, truth.late),
        ("dropped", ledger.dropped, Between(truth.dropped, truth.dropped)),
    ):
        if count not in must:
            problems.append(f"{count} {name} instead of {must}")
    return problems


def as_table(ledger: Ledger, truth: Truth, *, acknowledged: int, answers: Mapping[int, int]) -> str:
    """For people."""
    lines = [
        f"acknowledged, distinct   {acknowledged:>9}   sent {truth.distinct}",
        f"  forgotten              {ledger.forgotten:>9}   computed {truth.forgotten}",
        f"  matched                {ledger.matched:>9}   computed {truth.matched}",
        f"  identifiers dropped    {ledger.dropped:>9}   computed {truth.dropped}",
        f"  late                   {ledger.late:>9}   computed {truth.late}",
        f"  dead-lettered          {ledger.dead_lettered:>9}   computed 0",
        f"repeats                  {ledger.repeats:>9}   on top of the distinct ones",
        f"answers to devices       {dict(sorted(answers.items()))}",
    ]
    return "\n".join(lines)
