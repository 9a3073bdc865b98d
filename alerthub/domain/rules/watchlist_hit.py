"""A listed identifier was read under an authorisation that covers the entry's category."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from alerthub.domain.matching_index import Entry, EntryToken
from alerthub.domain.resources import CheckAuthorisation, DispatchPolicy, LifeStatus, Severity
from alerthub.domain.rules.interface import (
    DeviceInForce,
    ObservationView,
    PlacedRule,
    Raised,
    WatchlistMatch,
    device_policy,
    raised_id,
    stricter,
)
from alerthub.domain.schedule import is_in_force
from alerthub.domain.versions import Version

_URGENCY = {
    Severity.INFORMATION: 1,
    Severity.MINOR: 2,
    Severity.MAJOR: 3,
    Severity.CRITICAL: 4,
}
_EXACT = "exact"


@dataclass(frozen=True, slots=True)
class Hit:
    """A token of the observation's identifier `identifier_index` is one that `entry` published."""

    entry: Entry
    listed: EntryToken
    identifier_index: int


def covered(
    hits: Sequence[Hit], observation: ObservationView, device: DeviceInForce, received_ms: int
) -> list[Hit]:
    """The hits that the authorisation under which the identifiers were taken covers (refusal 4).

    It must be one of the device's, valid when the observation was received, and name the entry's category.
    """
    categories: set[str] = set()
    for authorisation in authorisations_of(observation, device, received_ms):
        categories.update(authorisation.categories)
    return [hit for hit in hits if hit.entry.category in categories]


def authorisations_of(
    observation: ObservationView, device: DeviceInForce, received_ms: int
) -> list[CheckAuthorisation]:
    """Those of the device, valid at the reception, under which the observation's identifiers were taken."""
    return [
        authorisation.value
        for authorisation in device.authorisations
        if authorisation.value.authorisation_id == observation.authorisation_id
        and _valid(authorisation, received_ms)
    ]


def _valid(authorisation: Version[CheckAuthorisation], received_ms: int) -> bool:
    value = authorisation.value
    return (
        value.status is LifeStatus.ACTIVE
        and authorisation.active_from_ms <= received_ms
        and value.valid_from_ms <= received_ms < value.valid_until_ms
    )


def evaluate(
    placed: PlacedRule,
    hits: Sequence[Hit],
    observation: ObservationView,
    device: DeviceInForce,
    *,
    received_ms: int,
) -> list[Raised]:
    """One alert for each entry that the rule accepts a hit of: by mask, confidence and schedule.

    An entry that several masks or identifiers hit is raised once, for the best: an exact hit, else the
    first. A device that gives no confidence (0) counts as certain. A person's entry and a device of a weak
    class are confirmed first, whatever rule and category say (refusal 6, S3).
    """
    rule = placed.rule.value
    parameters = rule.watchlist_hit
    if parameters is None or not is_in_force(rule.schedule, received_ms):
        return []
    if observation.read_confidence and observation.read_confidence < parameters.minimum_confidence:
        return []
    best: dict[str, Hit] = {}
    for hit in hits:
        if hit.listed.mask not in parameters.masks:
            continue
        known = best.get(hit.entry.entry_id)
        if known is None or (known.listed.mask != _EXACT and hit.listed.mask == _EXACT):
            best[hit.entry.entry_id] = hit
    return [_raised(placed, hit, observation, device) for hit in best.values()]


def _raised(placed: PlacedRule, hit: Hit, observation: ObservationView, device: DeviceInForce) -> Raised:
    rule, entry = placed.rule.value, hit.entry
    subject = f"entry:{entry.entry_id}"
    person = DispatchPolicy.CONFIRM_FIRST if entry.names_person else DispatchPolicy.SEND_AT_ONCE
    return Raised(
        raised_id=raised_id(rule.rule_id, subject, observation.observation_id),
        rule=placed.rule,
        fold_key=subject,
        severity=max(entry.severity, rule.severity, key=_URGENCY.__getitem__),
        policy=stricter(entry.policy, rule.policy, person, device_policy(observation)),
        unit_kind=entry.unit_kind or rule.unit_kind,
        jurisdiction=device.device.value.jurisdiction,
        observation=observation,
        match=WatchlistMatch(
            entry_id=entry.entry_id,
            entry_version=entry.version,
            category=entry.category,
            names_person=entry.names_person,
            identifier_kind=hit.listed.kind,
            mask=hit.listed.mask,
            token=hit.listed.token,
            epoch=hit.listed.epoch,
            identifier_index=hit.identifier_index,
            entry_valid_until_ms=entry.valid_until_ms,
        ),
    )
