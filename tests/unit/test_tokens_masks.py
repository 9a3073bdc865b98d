"""Masks: which plates a mask takes for one, and which it keeps apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerthub.domain.errors import Refuse
from alerthub.domain.identifiers import IdentifierKind, normalise
from alerthub.domain.masks import (
    ALWAYS_IN_USE,
    CONFUSABLE,
    EXACT,
    MAXIMUM_IN_USE,
    NO_PROVINCE,
    mask_set,
    masked,
    valid,
    wanted,
)

PLATE, DOCUMENT, TAG = IdentifierKind.PLATE, IdentifierKind.DOCUMENT, IdentifierKind.TAG
plates = st.from_regex("[京冀黑粤][A-Z][A-Z0-9]{5,6}", fullmatch=True)
CONFUSED = {"0": "OQD", "1": "I", "8": "B", "2": "Z", "5": "S"}
confused_pairs = [(digit, letter) for digit, letters in CONFUSED.items() for letter in letters]


@pytest.mark.parametrize(("digit", "letter"), confused_pairs)
def test_confusable_takes_characters_that_are_misread_for_one(digit: str, letter: str) -> None:
    assert masked(CONFUSABLE, PLATE, f"京A{digit}2345") == masked(CONFUSABLE, PLATE, f"京A{letter}2345")


@pytest.mark.parametrize(("digit", "letter"), confused_pairs)
def test_exact_keeps_them_apart(digit: str, letter: str) -> None:
    assert masked(EXACT, PLATE, f"京A{digit}2345") != masked(EXACT, PLATE, f"京A{letter}2345")


def test_no_province_leaves_out_the_province_only() -> None:
    assert masked(NO_PROVINCE, PLATE, "京A12345") == masked(NO_PROVINCE, PLATE, "冀A12345") == "A12345"
    assert masked(NO_PROVINCE, PLATE, "ABC1234") is None


def test_a_wildcard_leaves_out_its_position_only() -> None:
    assert masked("1110111", PLATE, "京A12345") == masked("1110111", PLATE, "京A19345")
    assert masked("1110111", PLATE, "京A12345") != masked("1110111", PLATE, "京A12346")


def test_a_wildcard_of_another_length_does_not_apply() -> None:
    assert masked("1110111", PLATE, "京AD12345") is None


@pytest.mark.parametrize("mask", [NO_PROVINCE, "1110111"])
def test_a_document_is_never_blanked(mask: str) -> None:
    assert masked(mask, DOCUMENT, "E123456") is None


def test_the_hexadecimal_digits_of_a_tag_are_not_folded() -> None:
    assert masked(CONFUSABLE, TAG, "ACDE48001122") is None


@pytest.mark.parametrize(
    "mask", ["", "111", "0110", "11101101", "1111111", "fuzzy", "0" * 7, "1" * 16 + "0", "２"]
)
def test_what_is_no_mask_is_refused(mask: str) -> None:
    assert not valid(mask)
    with pytest.raises(Refuse, match=r"identifiers\[0\]\.masks"):
        wanted([mask], PLATE, "京A12345", field="identifiers[0].masks")


def test_a_mask_that_would_never_match_is_refused() -> None:
    with pytest.raises(Refuse, match="applies"):
        wanted(["111011"], PLATE, "京A12345", field="masks")


def test_an_identifier_without_masks_is_matched_exactly() -> None:
    assert wanted([], PLATE, "京A12345", field="masks") == (EXACT,)


def test_at_most_sixteen_masks_are_in_use() -> None:
    wildcards = [("1" * 9)[:i] + "0" + ("1" * 9)[i:] for i in range(10)] + ["01111", "10111", "11011"]
    assert len(mask_set(wildcards, field="masks")) == MAXIMUM_IN_USE
    with pytest.raises(Refuse, match="at most 16"):
        mask_set([*wildcards, "11101"], field="masks")


@given(st.permutations(["1110111", "1101111", "11101111", CONFUSABLE]))
def test_the_mask_set_does_not_depend_on_the_order_of_entries(masks: list[str]) -> None:
    assert mask_set(masks, field="masks") == (*ALWAYS_IN_USE, "1101111", "1110111", "11101111")


@given(plates, st.integers(0, 6))
def test_folding_and_blanking_commute(plate: str, position: int) -> None:
    wildcard = "".join("0" if i == position else "1" for i in range(len(plate)))
    fold_last = masked(CONFUSABLE, PLATE, masked(wildcard, PLATE, plate) or "")
    fold_first = masked(wildcard, PLATE, masked(CONFUSABLE, PLATE, plate) or "")
    assert fold_last == fold_first


@given(plates, st.sampled_from([EXACT, CONFUSABLE, NO_PROVINCE, "1110111", "11101111"]))
def test_a_mask_sees_only_the_normal_form(plate: str, mask: str) -> None:
    spelled = f"蓝{plate[:2].lower()}·{plate[2:]}"
    assert masked(mask, PLATE, normalise(PLATE, spelled) or "") == masked(mask, PLATE, plate)


@given(plates)
def test_folding_twice_changes_nothing_more(plate: str) -> None:
    once = masked(CONFUSABLE, PLATE, plate) or ""
    assert masked(CONFUSABLE, PLATE, once) == once
