"""What people read, in the two languages of the city."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LocalizedText:
    """One text in Chinese and in English; empty where it is not known in that language."""

    chinese: str = ""
    english: str = ""


NO_TEXT = LocalizedText()
