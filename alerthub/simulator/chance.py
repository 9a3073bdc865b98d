"""Chance that repeats: the same seed and names give the same numbers, on every machine."""

from __future__ import annotations

import random


def chance_of(*names: object) -> random.Random:
    """A source of its own for whatever `names` name, so that one part of a city never moves another."""
    return random.Random("/".join(str(name) for name in names))  # noqa: S311 - a city, no secrets
