"""Entries: what they need, who lets them work, when they end. Each test names the refusal that it holds."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from alerthub.domain.errors import Conflict, NotAllowed, Refuse
from alerthub.domain.versions import ACTIVATION_LEAD_MS
from alerthub.domain.watchlist import (
    DAY_MS,
    Category,
    Entry,
    EntryStatus,
    Grounds,
    OpeningCap,
    Policy,
    after_restore,
    approve,
    expire,
    in_force,
    may_be_forgotten_on_the_topic,
    needs_second_person,
    propose,
    withdraw,
)

VEHICLES = Category("stolen_vehicle", "被盗", "Stolen", False, Policy.SEND_AT_ONCE, 3, 30, "patrol")
GROUNDS = Grounds("A-1", "Article 117", "Traffic police", "0311-5550100", "拦下", "Stop it")


def proposed(**changed: object) -> Entry:
    values: dict[str, object] = {
        "entry_id": "e",
        "category": VEHICLES,
        "grounds": GROUNDS,
        "valid_until_ms": DAY_MS,
        "entered_by": "lin",
        "now_ms": 0,
    }
    return propose(**{**values, **changed})  # type: ignore[arg-type]


@pytest.mark.parametrize("field", ["case_number", "legal_basis", "issuing_authority", "authority_contact"])
@pytest.mark.parametrize("text", ["", "  "])
def test_an_entry_without_one_of_its_grounds_is_refused(field: str, text: str) -> None:
    with pytest.raises(Refuse) as refusal:
        proposed(grounds=replace(GROUNDS, **{field: text}))
    assert refusal.value.field == field


@pytest.mark.parametrize("language", ["instruction_chinese", "instruction_english"])
def test_an_entry_without_an_instruction_in_both_languages_is_refused(language: str) -> None:
    with pytest.raises(Refuse) as refusal:
        proposed(grounds=replace(GROUNDS, **{language: " "}))
    assert refusal.value.field == "instruction"


def test_a_contact_that_cannot_be_called_is_refused() -> None:
    with pytest.raises(Refuse, match="any hour"):
        proposed(grounds=replace(GROUNDS, authority_contact="ask the desk"))


@pytest.mark.parametrize("valid_until_ms", [0, -1, 30 * DAY_MS + 1])
def test_an_entry_without_an_end_or_beyond_its_categorys_maximum_is_refused(valid_until_ms: int) -> None:
    with pytest.raises(Refuse) as refusal:
        proposed(valid_until_ms=valid_until_ms)
    assert refusal.value.field == "valid_until_ms"


def test_a_category_that_names_persons_cannot_be_sent_at_once() -> None:
    with pytest.raises(Refuse, match="confirm first"):
        replace(VEHICLES, names_person=True)


def test_an_entry_matches_nothing_before_its_approval() -> None:
    assert not in_force(proposed(), now_ms=1)


def test_whoever_entered_it_cannot_approve_it() -> None:
    with pytest.raises(NotAllowed, match="another person"):
        approve(proposed(), approved_by="lin", now_ms=1)


def test_an_approval_takes_effect_ahead_of_time() -> None:
    approved = approve(proposed(), approved_by="chen", now_ms=5)
    assert not in_force(approved, now_ms=5 + ACTIVATION_LEAD_MS - 1)
    assert in_force(approved, now_ms=5 + ACTIVATION_LEAD_MS)


def test_an_entry_ends_with_its_last_millisecond() -> None:
    approved = approve(proposed(), approved_by="chen", now_ms=5)
    assert in_force(approved, now_ms=DAY_MS - 1)
    assert not in_force(approved, now_ms=DAY_MS)


def test_an_entry_whose_end_has_passed_cannot_be_approved() -> None:
    with pytest.raises(Conflict):
        approve(proposed(), approved_by="chen", now_ms=DAY_MS)


def test_a_withdrawal_works_at_once() -> None:
    withdrawn = withdraw(approve(proposed(), approved_by="chen", now_ms=0), now_ms=5000)
    assert not in_force(withdrawn, now_ms=5000)
    assert withdrawn.version == 3


@pytest.mark.parametrize("ended", [EntryStatus.WITHDRAWN, EntryStatus.EXPIRED])
def test_an_entry_that_ended_cannot_be_withdrawn_or_approved_again(ended: EntryStatus) -> None:
    entry = replace(proposed(), status=ended, ended_at_ms=1)
    with pytest.raises(Conflict):
        withdraw(entry, now_ms=2)
    with pytest.raises(Conflict):
        approve(entry, approved_by="chen", now_ms=2)


def test_a_withdrawal_is_kept_on_the_topic_until_the_entrys_own_end_has_settled() -> None:
    withdrawn = withdraw(proposed(), now_ms=1)
    assert not may_be_forgotten_on_the_topic(withdrawn, now_ms=DAY_MS + 99, settling_ms=100)
    assert may_be_forgotten_on_the_topic(withdrawn, now_ms=DAY_MS + 100, settling_ms=100)


def test_an_active_entry_is_never_forgotten_on_the_topic() -> None:
    active = approve(proposed(), approved_by="chen", now_ms=0)
    assert not may_be_forgotten_on_the_topic(active, now_ms=10**15, settling_ms=0)


@pytest.mark.parametrize("ended", [EntryStatus.WITHDRAWN, EntryStatus.EXPIRED])
def test_an_end_that_a_restored_database_forgot_holds(ended: EntryStatus) -> None:
    active = approve(proposed(), approved_by="chen", now_ms=0)
    found = after_restore(active, published_version=7, published_status=ended, now_ms=9000)
    assert (found.status, found.version, found.ended_at_ms) == (ended, 8, 9000)


def test_an_approval_that_a_restored_database_forgot_must_be_given_again() -> None:
    found = after_restore(proposed(), published_version=7, published_status=EntryStatus.ACTIVE, now_ms=9000)
    assert (found.status, found.approved_by, found.version) == (EntryStatus.PROPOSED, None, 8)


def test_a_topic_that_knows_nothing_newer_changes_nothing() -> None:
    active = approve(proposed(), approved_by="chen", now_ms=0)
    same = after_restore(active, published_version=2, published_status=EntryStatus.WITHDRAWN, now_ms=9000)
    assert same is active


@given(st.lists(st.integers(0, 1000), max_size=20), st.integers(1, 10))
def test_a_second_person_is_needed_from_the_cap_on(opened: list[int], alerts: int) -> None:
    cap = OpeningCap(alerts=alerts, window_ms=500)
    recent = [time for time in opened if time > 500]
    assert needs_second_person(opened, cap, now_ms=1000) == (len(recent) >= alerts)


class EntryLife(RuleBasedStateMachine):
    """Whatever happens to an entry in whatever order: it works only with two persons, and ends only once."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ms = 0
        self.entry = proposed()
        self.before = self.entry

    def _became(self, entry: Entry) -> None:
        self.before, self.entry = self.entry, entry

    @rule(milliseconds=st.integers(0, DAY_MS // 3))
    def time_passes(self, milliseconds: int) -> None:
        self.now_ms += milliseconds
        self._became(expire(self.entry, now_ms=self.now_ms))

    @rule(person=st.sampled_from(["lin", "chen", "wang"]))
    def somebody_approves(self, person: str) -> None:
        try:
            self._became(approve(self.entry, approved_by=person, now_ms=self.now_ms))
        except (NotAllowed, Conflict):
            return

    @rule()
    @precondition(lambda self: self.entry.status in (EntryStatus.PROPOSED, EntryStatus.ACTIVE))
    def somebody_withdraws(self) -> None:
        self._became(withdraw(self.entry, now_ms=self.now_ms))

    @invariant()
    def it_works_only_with_two_persons(self) -> None:
        if in_force(self.entry, now_ms=self.now_ms):
            assert self.entry.approved_by not in (None, self.entry.entered_by)
            assert self.now_ms < self.entry.valid_until_ms

    @invariant()
    def it_never_begins_again(self) -> None:
        assert self.entry.version >= self.before.version
        if self.before.status in (EntryStatus.WITHDRAWN, EntryStatus.EXPIRED):
            assert self.entry.status is self.before.status


TestEntryLife = EntryLife.TestCase
TestEntryLife.settings = settings(max_examples=50)
