"""The hub's own reads: whom they leave alone, and why nobody can hide behind them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerthub.domain.canary import CATEGORY, check_identifier, is_canary, plate
from alerthub.domain.errors import Refuse
from alerthub.domain.identifiers import IdentifierKind, normalise


@given(st.text())
def test_no_other_category_is_the_canarys(category: str) -> None:
    assert is_canary(category) == (category == CATEGORY)


@given(st.integers(0, 9_999))
def test_the_canarys_plates_are_taken_as_they_are_read(number: int) -> None:
    text = plate(number)
    assert normalise(IdentifierKind.PLATE, text) == text
    check_identifier(IdentifierKind.PLATE, text, ["exact"], field="text")


@pytest.mark.parametrize(
    ("kind", "text", "masks"),
    [
        (IdentifierKind.PLATE, "冀RA8HK5", ["exact"]),
        (IdentifierKind.PLATE, "CANARY", ["exact"]),
        (IdentifierKind.PLATE, "XCANARY0001", ["exact"]),
        (IdentifierKind.DOCUMENT, "CANARY0001", ["exact"]),
        (IdentifierKind.TAG, "CANARY0001", ["exact"]),
        (IdentifierKind.PLATE, "CANARY0001", ["exact", "no-province"]),
        (IdentifierKind.PLATE, "CANARY0001", ["confusable"]),
    ],
)
def test_nothing_that_somebody_could_have_is_listed_out_of_the_offices_sight(
    kind: IdentifierKind, text: str, masks: list[str]
) -> None:
    with pytest.raises(Refuse, match="CANARY0000"):
        check_identifier(kind, text, masks, field="text")
