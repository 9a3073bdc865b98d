"""A light value is as good as a frozen one, but for an assignment that mypy refuses."""

from __future__ import annotations

from dataclasses import field

from alerthub.domain.light_values import light_value


@light_value
class Read:
    """Some read."""

    text: str = field(repr=False)
    lane: int = 0


def test_equal_values_are_one_key() -> None:
    assert {Read("a", 1): "first"} == {Read("a", lane=1): "first"}
    assert Read("a", 1) != Read("a", 2)


def test_what_may_not_be_shown_is_not() -> None:
    assert "secret" not in repr(Read("secret"))


def test_it_has_slots_alone() -> None:
    assert not hasattr(Read("a"), "__dict__")
