"""Refusal 5: two persons decide about an entry, so nobody else ever does."""

from __future__ import annotations

import pytest

from alerthub.domain.errors import NotAllowed
from alerthub.identity import ANONYMOUS, Caller, CallerKind
from services.watchlist.handlers import person


def test_refusal_5_a_person_who_signed_in_decides() -> None:
    assert person(Caller(CallerKind.PERSON, "lin")) == "lin"


@pytest.mark.parametrize(
    "caller",
    [
        Caller(CallerKind.SERVICE, "dispatch"),
        Caller(CallerKind.TERMINAL, "T1"),
        Caller(CallerKind.DEVICE, "D1"),
        Caller(CallerKind.PERSON, ""),
        ANONYMOUS,
    ],
    ids=["service", "terminal", "device", "person without a name", "anonymous"],
)
def test_refusal_5_nobody_but_a_named_person_enters_approves_or_looks(caller: Caller) -> None:
    with pytest.raises(NotAllowed, match="a person, signed in"):
        person(caller)
