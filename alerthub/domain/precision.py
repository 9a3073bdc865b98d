"""How often a rule, source or device was right, and whether it is suspended for it (refusal 9)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from alerthub.domain.alerts import OutcomeKind

MINIMUM_OUTCOMES = 20
"""Fewer say nothing yet."""

_Z_95_PERCENT = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Record:
    """How many outcomes there were that judge, and how many of them were right."""

    outcomes: int = 0
    right: int = 0


def judges(outcome: OutcomeKind) -> bool | None:
    """Whether an outcome speaks for (True) or against (False) what raised the alert; None: neither. A vehicle
    that was gone before anybody came was read rightly as far as anybody knows."""
    if outcome in {OutcomeKind.FOUND, OutcomeKind.NOT_FOUND}:
        return True
    if outcome in {OutcomeKind.MISREAD, OutcomeKind.ENTRY_WRONG}:
        return False
    return None


def wilson_upper_bound(record: Record) -> float:
    """The upper end of the 95 % score interval of the precision (E. B. Wilson 1927)."""
    if record.outcomes == 0:
        return 1.0
    count, share, z2 = record.outcomes, record.right / record.outcomes, _Z_95_PERCENT**2
    centre = share + z2 / (2 * count)
    margin = _Z_95_PERCENT * math.sqrt(share * (1 - share) / count + z2 / (4 * count**2))
    return min(1.0, (centre + margin) / (1 + z2 / count))


def below_floor(record: Record, floor: float) -> bool:
    """Whether even the most favourable reading of the outcomes is below `floor` (0 to 1)."""
    return record.outcomes >= MINIMUM_OUTCOMES and wilson_upper_bound(record) < floor
