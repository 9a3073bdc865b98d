"""The hub's own sentences are in Chinese and English, whatever they tell of."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerthub.domain import reasons
from alerthub.domain.alerts import AssignmentStatus, Status
from alerthub.domain.reasons import Reason
from alerthub.domain.texts import LocalizedText

_CHINESE = re.compile("[\u4e00-\u9fff]")
_LEFT_OPEN = re.compile(r"[{}<>%]|None|\b(?:True|False)\b")

counts = st.integers(min_value=0, max_value=10_000)
lengths = st.floats(min_value=0, max_value=2e7)
ages = st.integers(min_value=0, max_value=120_000)
names = st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True)
composed = st.one_of(
    st.builds(reasons.nearest_fits, names),
    st.builds(reasons.chosen_by, names.map("person:{}".format)),
    st.builds(reasons.away_by_position, lengths, ages),
    st.builds(reasons.away_by_station, lengths, ages),
    st.builds(reasons.in_hand, counts),
    st.builds(reasons.given_this_shift, counts),
    st.builds(reasons.before, names, metres=lengths, busy=st.booleans(), this_shift=counts),
    st.builds(reasons.none_left, counts),
    st.builds(reasons.canary_lost, ages),
    st.builds(reasons.partitions_silent, counts, of=counts),
    st.builds(reasons.too_late, st.sampled_from([*Status, *AssignmentStatus])),
    st.builds(reasons.assignment_is, st.sampled_from(AssignmentStatus)),
)


def is_in_both(text: LocalizedText) -> bool:
    english_only = bool(text.english.strip()) and not _CHINESE.search(text.english)
    finished = not _LEFT_OPEN.search(text.english + text.chinese)
    return english_only and bool(_CHINESE.search(text.chinese)) and finished


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_is_in_both_languages(reason: Reason) -> None:
    assert is_in_both(reason.value)


@given(composed)
def test_every_composed_reason_is_in_both_languages_with_nothing_left_open(text: LocalizedText) -> None:
    assert is_in_both(text)


@given(composed)
def test_both_languages_tell_the_same_figures(text: LocalizedText) -> None:
    def figures(of: str) -> list[str]:
        return sorted(re.findall(r"\d+(?:\.\d+)?", of))

    assert figures(text.chinese) == figures(text.english)


@pytest.mark.parametrize("reason", list(Reason))
def test_a_reason_is_found_again_by_what_a_row_keeps(reason: Reason) -> None:
    assert reasons.reason_of(reason.value.english) == reason.value


def test_what_no_release_knows_is_told_as_it_was_kept() -> None:
    assert reasons.reason_of("it rained") == LocalizedText(english="it rained")
    assert reasons.reason_of("") == LocalizedText()


def test_reasons_of_an_earlier_release_have_no_chinese() -> None:
    assert reasons.reasons_of(["free"], []) == (LocalizedText(english="free"),)
    assert reasons.reasons_of(["free"], ["空闲"]) == (LocalizedText("空闲", "free"),)
