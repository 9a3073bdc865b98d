"""What the hub refuses an operator or officer is in Chinese and English, whatever it is about."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerthub.api.v1 import access_pb2
from alerthub.domain import denials
from alerthub.domain.alerts import Status
from alerthub.domain.denials import Denial
from alerthub.domain.texts import LocalizedText

PAGE_IN_CHINESE = Path(__file__).resolve().parents[2] / "services/console/web/src/i18n/zh.json"
_CHINESE = re.compile("[\u4e00-\u9fff]")
_LEFT_OPEN = re.compile(r"[{}<>%]|None|\b(?:True|False)\b")

counts = st.integers(min_value=1, max_value=10_000)
names = st.from_regex(r"[a-z][a-z-]{0,20}", fullmatch=True)
roles = st.lists(st.sampled_from(access_pb2.Role.keys()[1:]), max_size=3, unique=True)
why = st.sampled_from([each.value for each in Denial])
items = st.lists(names, min_size=1, max_size=3)
composed = st.one_of(
    st.builds(denials.no_answer_within, counts),
    st.builds(denials.token_not_for, names),
    st.builds(denials.officers_token_not_valid, why),
    st.builds(denials.second_token_not_valid, why),
    st.builds(denials.csrf_expected, names),
    st.builds(denials.needs_role, roles),
    st.builds(
        denials.caller_must_be,
        roles,
        st.lists(names, max_size=2),
        terminals=st.booleans(),
        devices=st.booleans(),
    ),
    st.builds(denials.password_too_short, counts),
    st.builds(denials.not_open, st.sampled_from(Status)),
    st.builds(denials.not_as_seen, counts),
    st.builds(denials.newest_is, counts),
    st.builds(lambda found: denials.not_ticked(found, ["已打开并查看证据"] * len(found)), items),
    st.builds(denials.assignment_not_live, why),
    st.builds(denials.no_evidence, why),
    st.builds(denials.opened_too_much, counts, counts),
    st.builds(denials.not_enrolled, names),
    st.builds(denials.registry_silent, st.just("UNAVAILABLE")),
    st.builds(denials.enrolment_silent, st.just("UNAVAILABLE")),
)


def is_in_both(text: LocalizedText) -> bool:
    english_only = bool(text.english.strip()) and not _CHINESE.search(text.english)
    finished = not _LEFT_OPEN.search(text.english + text.chinese)
    return english_only and bool(_CHINESE.search(text.chinese)) and finished


@pytest.mark.parametrize("denial", list(Denial))
def test_every_denial_is_in_both_languages(denial: Denial) -> None:
    assert is_in_both(denial.value)


@given(composed)
def test_every_composed_denial_is_in_both_languages_with_nothing_left_open(text: LocalizedText) -> None:
    assert is_in_both(text)


def figures(of: str) -> list[str]:
    return sorted(re.findall(r"\d+(?:\.\d+)?", of))


@pytest.mark.parametrize("denial", list(Denial))
def test_both_languages_of_a_denial_tell_the_same_figures(denial: Denial) -> None:
    assert figures(denial.value.chinese) == figures(denial.value.english)


@given(composed)
def test_both_languages_of_a_composed_denial_tell_the_same_figures(text: LocalizedText) -> None:
    assert figures(text.chinese) == figures(text.english)


def test_the_hub_names_roles_as_the_page_does() -> None:
    words = json.loads(PAGE_IN_CHINESE.read_text(encoding="utf-8"))["session"]["roles"]
    for role, word in words.items():
        assert word in denials.needs_role([f"ROLE_{role.upper()}"]).chinese


def test_what_an_earlier_release_says_without_chinese_is_told_as_it_is() -> None:
    told = denials.no_evidence(LocalizedText(english="the device sent no picture"))
    assert told.chinese == "该警情没有证据：the device sent no picture"
