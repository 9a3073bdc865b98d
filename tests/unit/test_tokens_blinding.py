"""Tokens: equal for what a mask takes for one, different for all else, and nothing without the epoch's
key."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerthub.domain.identifiers import IdentifierKind
from alerthub.domain.masks import ALWAYS_IN_USE
from alerthub.tokens import TOKEN_BYTES, Blinder

KEY = bytes(range(32))
MASKS = (*ALWAYS_IN_USE, "1110111")
BLINDER = Blinder("e1", KEY, MASKS)
PLATE, DOCUMENT = IdentifierKind.PLATE, IdentifierKind.DOCUMENT
plates = st.from_regex("[京冀黑粤][A-Z][A-Z0-9]{5}", fullmatch=True)


def test_a_token_is_keyed_blake2b_of_kind_mask_and_text() -> None:
    expected = hashlib.blake2b(
        b"\x01\x05exact" + "京A12345".encode(), digest_size=16, key=KEY, person=b"alerthub-token-1"
    )
    assert BLINDER.token(PLATE, "京A12345", "exact") == expected.digest()


def test_tokens_come_in_the_order_of_the_masks() -> None:
    assert BLINDER.tokens(PLATE, "京A12345") == [BLINDER.token(PLATE, "京A12345", mask) for mask in MASKS]


def test_a_mask_that_does_not_apply_gives_an_empty_token() -> None:
    assert [len(token) for token in BLINDER.tokens(DOCUMENT, "E12345678")] == [TOKEN_BYTES, TOKEN_BYTES, 0, 0]


def test_a_confused_read_has_the_confusable_token_of_the_right_one() -> None:
    right, misread = BLINDER.tokens(PLATE, "京A1B345"), BLINDER.tokens(PLATE, "京AI8345")
    assert right[1] == misread[1]
    assert right[0] != misread[0]


@given(plates, plates)
def test_exact_tokens_are_equal_only_for_equal_plates(one: str, other: str) -> None:
    same = BLINDER.token(PLATE, one, "exact") == BLINDER.token(PLATE, other, "exact")
    assert same == (one == other)


@given(plates)
def test_kinds_masks_and_epochs_never_share_a_token(plate: str) -> None:
    tokens = BLINDER.tokens(PLATE, plate)
    tokens += Blinder("e2", bytes(32), MASKS).tokens(PLATE, plate)
    tokens += [token for token in BLINDER.tokens(DOCUMENT, plate) if token]
    assert len(set(tokens)) == len(tokens)


def test_it_shows_neither_key_nor_tokens() -> None:
    assert KEY.hex() not in repr(BLINDER)
    assert repr(BLINDER) == "Blinder(epoch='e1', masks=4)"


@pytest.mark.parametrize("key", [b"", bytes(31), bytes(64)])
def test_a_key_of_another_length_is_refused(key: bytes) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Blinder("e1", key, MASKS)
