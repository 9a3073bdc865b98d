"""Sealing: only the holder of the hour's private key opens, only beside what it was sealed with, only in
time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerthub.domain.errors import Retry
from alerthub.sealing import (
    DATA_KEY_LIFE_MS,
    CannotOpenError,
    DataKeyring,
    Opener,
    Recipient,
    WrappedKey,
    details_associated,
    generate_private_key,
    open_sealed,
    picture_associated,
    public_key_of,
    seal,
)

PRIVATE = generate_private_key()
RECIPIENT = Recipient("r1", public_key_of(PRIVATE), valid_until_ms=3_600_000)
OPENER = Opener({"r1": PRIVATE}.__getitem__)


def keyring() -> DataKeyring:
    return DataKeyring(RECIPIENT)


@given(st.binary(max_size=2000), st.binary(max_size=64))
def test_what_was_sealed_opens_beside_what_it_was_sealed_with(plain: bytes, associated: bytes) -> None:
    sealed = SHARED.seal(plain, associated, now_ms=0)
    assert OPENER.open(sealed.sealed, sealed.key, associated) == plain


SHARED = keyring()


def test_it_does_not_open_beside_another_observation_or_token() -> None:
    sealed = keyring().seal(b"text", details_associated(b"o" * 16, b"t" * 16), now_ms=0)
    for associated in (
        details_associated(b"p" * 16, b"t" * 16),
        details_associated(b"o" * 16, b"u" * 16),
        picture_associated(b"o" * 16, "t" * 16 + "x"),
    ):
        with pytest.raises(CannotOpenError):
            OPENER.open(sealed.sealed, sealed.key, associated)


@given(st.integers(0, 8 * 32 - 1))
def test_a_changed_bit_is_noticed(bit: int) -> None:
    sealed = SHARED.seal(b"text", b"a", now_ms=0)
    changed = bytearray(sealed.sealed)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(CannotOpenError):
        OPENER.open(bytes(changed), sealed.key, b"a")


def test_another_private_key_does_not_open() -> None:
    sealed = keyring().seal(b"text", b"", now_ms=0)
    with pytest.raises(CannotOpenError):
        Opener(lambda _: generate_private_key()).open(sealed.sealed, sealed.key, b"")


def test_a_wrapped_key_is_bound_to_its_ids() -> None:
    sealed = keyring().seal(b"text", b"", now_ms=0)
    renamed = WrappedKey(b"other---", sealed.key.recipient_key_id, sealed.key.wrapped)
    with pytest.raises(CannotOpenError):
        OPENER.open(sealed.sealed, renamed, b"")


def test_a_minute_has_one_data_key_and_the_next_minute_another() -> None:
    ring = keyring()
    first, second = ring.seal(b"", b"", now_ms=0), ring.seal(b"", b"", now_ms=DATA_KEY_LIFE_MS - 1)
    third = ring.seal(b"", b"", now_ms=DATA_KEY_LIFE_MS)
    assert first.key is second.key
    assert third.key.data_key_id != first.key.data_key_id


def test_no_nonce_is_used_twice_under_a_data_key() -> None:
    ring = keyring()
    nonces = {ring.seal(b"", b"", now_ms=0).sealed[:12] for _ in range(1000)}
    assert len(nonces) == 1000


def test_nothing_is_sealed_to_a_recipient_whose_hour_is_over() -> None:
    ring = keyring()
    ring.seal(b"", b"", now_ms=3_599_999)
    assert not ring.ready(3_600_000)
    with pytest.raises(Retry):
        ring.seal(b"", b"", now_ms=3_600_000)


def test_a_new_recipient_gets_a_new_data_key() -> None:
    ring = keyring()
    before = ring.seal(b"", b"", now_ms=0)
    ring.use(Recipient("r2", public_key_of(generate_private_key()), valid_until_ms=10))
    assert ring.seal(b"", b"", now_ms=1).key.recipient_key_id == "r2"
    assert before.key.recipient_key_id == "r1"


def test_without_a_recipient_nothing_is_sealed() -> None:
    with pytest.raises(Retry):
        DataKeyring().seal(b"", b"", now_ms=0)


@given(st.binary(max_size=100))
def test_a_long_lived_key_seals_and_opens(plain: bytes) -> None:
    assert open_sealed(bytes(32), seal(bytes(32), plain, b"entry 1"), b"entry 1") == plain


def test_an_error_repeats_nothing_of_the_input() -> None:
    with pytest.raises(CannotOpenError) as error:
        open_sealed(bytes(32), b"canary" * 10, b"A12345")
    assert "canary" not in str(error.value)
    assert "A12345" not in str(error.value)
