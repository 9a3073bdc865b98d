"""What an operator compares before confirming, and that a decision is on what was seen (refusal 6)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerthub.domain import alert_checks, alert_life
from alerthub.domain.alerts import Policy
from alerthub.domain.checklists import Subject, check_ticked, checklist
from alerthub.domain.errors import Conflict, Refuse

SUBJECTS = st.builds(
    Subject,
    kind=st.sampled_from(["watchlist_hit", "dwell", "direct_call", "cloned_plate", "other"]),
    names_person=st.booleans(),
    has_picture=st.booleans(),
    weakly_authenticated=st.booleans(),
)
PLATE = Subject("watchlist_hit", names_person=False, has_picture=True, weakly_authenticated=False)


def names(subject: Subject) -> list[str]:
    return [each.item for each in checklist(subject)]


def test_a_plate_is_compared_with_its_picture() -> None:
    assert names(PLATE) == ["opened", "read_matches", "looks_match", "plausible"]


def test_without_a_picture_it_is_verified_in_another_way() -> None:
    without = Subject("watchlist_hit", names_person=False, has_picture=False, weakly_authenticated=False)
    assert "no_picture" in names(without)
    assert "read_matches" not in names(without)


def test_a_cloned_plate_is_compared_at_both_places() -> None:
    cloned = Subject("cloned_plate", names_person=False, has_picture=True, weakly_authenticated=False)
    assert names(cloned) == ["opened", "read_matches", "both_places", "plausible"]


def test_an_alert_that_names_a_person_asks_for_the_instruction_and_the_contact() -> None:
    person = Subject("watchlist_hit", names_person=True, has_picture=True, weakly_authenticated=False)
    assert "person" in names(person)


def test_a_device_that_proves_itself_weakly_asks_for_a_forged_read() -> None:
    weak = Subject("watchlist_hit", names_person=False, has_picture=True, weakly_authenticated=True)
    assert "weak_device" in names(weak)


@given(SUBJECTS)
def test_every_list_has_items_in_both_languages_each_once(subject: Subject) -> None:
    items = checklist(subject)
    assert len({each.item for each in items}) == len(items) > 0
    assert all(each.chinese and each.english for each in items)


@given(SUBJECTS)
def test_all_ticked_is_let_through(subject: Subject) -> None:
    assert check_ticked(subject, names(subject)) == checklist(subject)


@given(SUBJECTS, st.data())
def test_refusal_6_one_item_that_is_not_ticked_refuses(subject: Subject, data: st.DataObject) -> None:
    items = names(subject)
    left_out = data.draw(st.sampled_from(items))
    with pytest.raises(Refuse, match=left_out):
        check_ticked(subject, [each for each in items if each != left_out])


def test_a_list_that_has_changed_since_is_looked_at_again() -> None:
    with pytest.raises(Refuse, match="look at it again"):
        check_ticked(PLATE, [*names(PLATE), "no_picture"])


def test_a_decision_is_on_the_version_that_was_seen() -> None:
    alert = alert_life.open_alert(
        alert_id="a1",
        policy=Policy.CONFIRM_FIRST,
        names_person=False,
        severity=3,
        supervisor_required=False,
        actor="service:dispatch",
        now_ms=1,
    ).alert

    alert_checks.check_seen(alert, alert.version)
    alert_checks.check_seen(alert, 0)
    for other in (alert.version + 1, alert.version + 2):
        with pytest.raises(Conflict) as refused:
            alert_checks.check_seen(alert, other)
        assert refused.value.field == "alert_version"
