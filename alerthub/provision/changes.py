"""What provisioning changed, in words for a person and for machines."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is not as it was before. Holds no secret."""

    part: str
    """files, kafka or postgres."""
    subject: str
    """Such as `topic observations` or `role registry`."""
    action: str
    """In the past tense: created, changed, renewed."""

    def sentence(self) -> str:
        return f"{self.part}: {self.subject} {self.action}"
