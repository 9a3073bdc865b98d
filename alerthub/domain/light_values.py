"""Values that are made for each event, some of them several times: as good as frozen, and cheaper to make."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

_Made = TypeVar("_Made")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def light_value(made: type[_Made]) -> type[_Made]:
    """A dataclass with slots that the type checker holds to be frozen, and the interpreter does not.

    The frozen kind sets each field by a call of `object.__setattr__` (docs/adr/0028). For what is made
    thousands of times a second only: everything else is `dataclass(frozen=True, slots=True)`.
    """
    return dataclass(slots=True, unsafe_hash=True)(made)
