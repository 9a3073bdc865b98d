"""Decisions about watchlist entries: what an entry needs, who may let it work, and when it ends (refusals 5
to 7).

Times are milliseconds since 1970. Nothing here knows an identifier: an entry's identifiers are sealed beside
it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from alerthub.domain.errors import Conflict, NotAllowed, Refuse
from alerthub.domain.versions import ACTIVATION_LEAD_MS

DAY_MS = 24 * 3_600_000


class EntryStatus(IntEnum):
    """The numbers are those of the wire (`EntryStatus` in watchlist.proto)."""

    PROPOSED = 1
    ACTIVE = 2
    WITHDRAWN = 3
    EXPIRED = 4


class Policy(IntEnum):
    """Whether an alert goes out before an operator confirmed it (`DispatchPolicy` in common.proto)."""

    CONFIRM_FIRST = 1
    SEND_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Category:
    """What kind of entry: whom its alerts concern, how urgent they are, and how long an entry may last."""

    category: str
    chinese: str
    english: str
    names_person: bool
    policy: Policy
    severity: int
    """1 information to 4 critical (`Severity` in common.proto)."""
    maximum_days: int
    unit_kind: str

    def __post_init__(self) -> None:
        if self.names_person and self.policy is not Policy.CONFIRM_FIRST:
            raise Refuse("policy", "confirm first: an alert that names a person is never sent at once")
        if not 1 <= self.severity <= 4:
            raise Refuse("severity", "from 1 (information) to 4 (critical)")
        if self.maximum_days < 1:
            raise Refuse("maximum_days", "at least one day")


@dataclass(frozen=True, slots=True)
class Grounds:
    """Why an entry exists and what the officer is to do: without any of these it is refused (refusal 5)."""

    case_number: str
    legal_basis: str
    issuing_authority: str
    authority_contact: str
    """Reachable at any hour."""
    instruction_chinese: str
    instruction_english: str


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry without its identifiers."""

    entry_id: str
    version: int
    status: EntryStatus
    category: str
    names_person: bool
    grounds: Grounds
    valid_until_ms: int
    entered_by: str
    entered_at_ms: int
    approved_by: str | None = None
    active_from_ms: int | None = None
    ended_at_ms: int | None = None
    """When it was withdrawn or expired."""


def propose(
    *,
    entry_id: str,
    category: Category,
    grounds: Grounds,
    valid_until_ms: int,
    entered_by: str,
    now_ms: int,
    prefix: str = "",
) -> Entry:
    """A new entry, which matches nothing until somebody else approves it.

    `prefix` stands before the names of fields in refusals ("entries[3].").
    """
    for field, text in (
        ("case_number", grounds.case_number),
        ("legal_basis", grounds.legal_basis),
        ("issuing_authority", grounds.issuing_authority),
        ("authority_contact", grounds.authority_contact),
    ):
        if not text.strip():
            raise Refuse(f"{prefix}{field}", "a text that is not empty")
    if not any(character.isdigit() for character in grounds.authority_contact):
        raise Refuse(f"{prefix}authority_contact", "a number that somebody answers at any hour")
    if not grounds.instruction_chinese.strip() or not grounds.instruction_english.strip():
        raise Refuse(f"{prefix}instruction", "what the officer is to do, in Chinese and in English")
    if valid_until_ms <= now_ms:
        raise Refuse(f"{prefix}valid_until_ms", "a time in the future (milliseconds since 1970)")
    if valid_until_ms > now_ms + category.maximum_days * DAY_MS:
        raise Refuse(
            f"{prefix}valid_until_ms",
            f"at most {category.maximum_days} days from now for the category {category.category}",
        )
    return Entry(
        entry_id=entry_id,
        version=1,
        status=EntryStatus.PROPOSED,
        category=category.category,
        names_person=category.names_person,
        grounds=grounds,
        valid_until_ms=valid_until_ms,
        entered_by=entered_by,
        entered_at_ms=now_ms,
    )


def approve(entry: Entry, *, approved_by: str, now_ms: int) -> Entry:
    """The entry in force from `ACTIVATION_LEAD_MS` after `now_ms`.

    Refuses whoever entered it, and an entry that is not waiting or whose end has passed.
    """
    if approved_by == entry.entered_by:
        raise NotAllowed("entry_id", "approval by another person than the one who entered it")
    if entry.status is not EntryStatus.PROPOSED:
        raise Conflict(
            "entry_id", f"an entry that waits for approval; this one is {entry.status.name.lower()}"
        )
    if entry.valid_until_ms <= now_ms:
        raise Conflict("entry_id", "an entry whose validity has not ended")
    return replace(
        entry,
        version=entry.version + 1,
        status=EntryStatus.ACTIVE,
        approved_by=approved_by,
        active_from_ms=now_ms + ACTIVATION_LEAD_MS,
    )


def withdraw(entry: Entry, *, now_ms: int) -> Entry:
    """The entry ended at once. Refuses one that has ended already."""
    if entry.status not in (EntryStatus.PROPOSED, EntryStatus.ACTIVE):
        raise Conflict(
            "entry_id", f"an entry that is proposed or active; this one is {entry.status.name.lower()}"
        )
    return replace(entry, version=entry.version + 1, status=EntryStatus.WITHDRAWN, ended_at_ms=now_ms)


def expire(entry: Entry, *, now_ms: int) -> Entry:
    """The entry ended by its date; unchanged where the date has not come or it has ended already."""
    if entry.status not in (EntryStatus.PROPOSED, EntryStatus.ACTIVE) or now_ms < entry.valid_until_ms:
        return entry
    return replace(entry, version=entry.version + 1, status=EntryStatus.EXPIRED, ended_at_ms=now_ms)


def after_restore(
    entry: Entry, *, published_version: int, published_status: EntryStatus, now_ms: int
) -> Entry:
    """The entry of a database that was restored, brought past what the topic says of it (C19).

    An end that the restored database has forgotten holds; an approval that it has forgotten does not, and
    must be given again. Unchanged where the topic knows nothing newer.
    """
    if published_version <= entry.version:
        return entry
    ended = published_status in (EntryStatus.WITHDRAWN, EntryStatus.EXPIRED)
    open_still = entry.status in (EntryStatus.PROPOSED, EntryStatus.ACTIVE)
    if ended and open_still:
        entry = replace(entry, status=published_status, ended_at_ms=now_ms)
    # Above the topic's version: an owner never publishes below it.
    return replace(entry, version=published_version + 1)


def in_force(entry: Entry, *, now_ms: int) -> bool:
    """Whether a read received at `now_ms` may match it."""
    return (
        entry.status is EntryStatus.ACTIVE
        and entry.active_from_ms is not None
        and entry.active_from_ms <= now_ms < entry.valid_until_ms
    )


def may_be_forgotten_on_the_topic(entry: Entry, *, now_ms: int, settling_ms: int) -> bool:
    """Whether the withdrawal's value may become a tombstone (C8).

    Only after the entry's own end: a correlator that was away must find the withdrawal, not a gap that looks
    like a value that has not come yet. `settling_ms` is how long an alert may still be on its way.
    """
    ended = entry.status in (EntryStatus.WITHDRAWN, EntryStatus.EXPIRED)
    return ended and now_ms >= entry.valid_until_ms + settling_ms


@dataclass(frozen=True, slots=True)
class OpeningCap:
    """How much identifying data one person may look at (C13)."""

    alerts: int
    """Different alerts of one entry or rule."""
    window_ms: int


def needs_second_person(opened_at_ms: Sequence[int], cap: OpeningCap, *, now_ms: int) -> bool:
    """Whether one more alert of this entry or rule is over the person's cap.

    `opened_at_ms` has one time for each other alert that the person opened.
    """
    return sum(1 for time_ms in opened_at_ms if time_ms > now_ms - cap.window_ms) >= cap.alerts
