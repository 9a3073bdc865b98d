"""Compares what a hub raised with the truth: precision and recall of each kind of rule. Pure."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from alerthub.simulator.truth import Key, Must, RuleKind, Truth


@dataclass(frozen=True, slots=True)
class Raised:
    """An alert of the hub, with the subject that its sightings name; None: they name nothing of this run.
    Times in milliseconds since 1970, 0: still open."""

    alert_id: str
    rule_kind: RuleKind
    key: Key | None
    opened_ms: int
    closed_ms: int
    sightings: int
    devices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """An alert that is missing, or one too many, and why it should be otherwise."""

    key: str
    alert_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Score:
    """Of one kind of rule. `undecided`: alerts that may be there or not, and are counted neither way."""

    rule_kind: RuleKind
    expected: int
    right: int
    undecided: int
    missed: tuple[Difference, ...]
    surplus: tuple[Difference, ...]

    @property
    def precision(self) -> float:
        """Of the alerts that were raised, how many were right; 1 where none was raised."""
        raised = self.right + len(self.surplus)
        return self.right / raised if raised else 1.0

    @property
    def recall(self) -> float:
        """Of the alerts that must be, how many were raised; 1 where none must be."""
        return self.right / self.expected if self.expected else 1.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """All scores. `silenced`: subjects that looked like alerts, must not be ones, and were none.
    `miscounted`: alerts that are right and count more or fewer sightings than there were reads."""

    scores: tuple[Score, ...]
    silenced: int
    miscounted: tuple[Difference, ...]

    @property
    def perfect(self) -> bool:
        return not any(score.missed or score.surplus for score in self.scores)


def judge(truth: Truth, raised: Iterable[Raised]) -> Verdict:
    """What was raised against what must be."""
    by_key: dict[Key, list[Raised]] = defaultdict(list)
    strangers: dict[RuleKind, list[Raised]] = defaultdict(list)
    for alert in raised:
        if alert.key is None:
            strangers[alert.rule_kind].append(alert)
        else:
            by_key[alert.key].append(alert)
    scores = tuple(_score(kind, truth, by_key, strangers[kind]) for kind in RuleKind)
    quiet = [
        each for key, each in truth.expected.items() if each.must is Must.NOTHING and not by_key.get(key)
    ]
    return Verdict(scores, len(quiet), tuple(_miscounted(truth, by_key)))


def missing(truth: Truth, raised: Iterable[Raised]) -> int:
    """How many alerts that must be are not there (yet)."""
    there = {alert.key for alert in raised}
    return sum(each.must is Must.ALERT and key not in there for key, each in truth.expected.items())


def _score(
    kind: RuleKind, truth: Truth, by_key: Mapping[Key, Sequence[Raised]], strangers: Sequence[Raised]
) -> Score:
    expected = {key: each for key, each in truth.expected.items() if key.rule_kind is kind}
    must = [each for each in expected.values() if each.must is Must.ALERT]
    missed = tuple(
        Difference(each.key.subject, "", f"{each.why}; told by {_names(each.devices)}")
        for each in must
        if not by_key.get(each.key)
    )
    surplus = [
        Difference("", alert.alert_id, f"nothing that was told explains it; at {_names(alert.devices)}")
        for alert in strangers
    ]
    undecided = 0
    for key, alerts in by_key.items():
        if key.rule_kind is not kind:
            continue
        known = expected.get(key)
        if known is None or known.must is Must.NOTHING:
            why = known.why if known is not None else "nothing of it was told"
            surplus += [
                Difference(key.subject, alert.alert_id, f"{why}; at {_names(alert.devices)}")
                for alert in alerts
            ]
            continue
        undecided += known.must is Must.MAY
        surplus += [Difference(key.subject, each.alert_id, _TWICE) for each in _while_open(alerts)]
    return Score(kind, len(must), len(must) - len(missed), undecided, missed, tuple(surplus))


_TWICE = "a second alert of the same subject while the first was open"


def _while_open(alerts: Sequence[Raised]) -> list[Raised]:
    """Those that were opened while an earlier one of the same subject was not over."""
    ordered = sorted(alerts, key=lambda each: each.opened_ms)
    return [
        later
        for earlier, later in itertools.pairwise(ordered)
        if not 0 < earlier.closed_ms <= later.opened_ms
    ]


def _miscounted(truth: Truth, by_key: Mapping[Key, Sequence[Raised]]) -> Iterable[Difference]:
    for key, alerts in by_key.items():
        known = truth.expected.get(key)
        if known is None or known.must is Must.NOTHING or len(alerts) != 1:
            continue
        [alert] = alerts
        if not known.counted <= alert.sightings <= known.counted + known.perhaps:
            most = known.counted + known.perhaps
            wanted = str(known.counted) if not known.perhaps else f"{known.counted} to {most}"
            yield Difference(key.subject, alert.alert_id, f"{alert.sightings} sightings instead of {wanted}")


def _names(devices: Sequence[str]) -> str:
    shown = ", ".join(devices[:3])
    return f"{shown} and {len(devices) - 3} more" if len(devices) > 3 else shown or "no device"
