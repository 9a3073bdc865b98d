"""Errors whose type says what happens next: try again, put aside, or refuse."""

from __future__ import annotations


class AlertHubError(Exception):
    """The root of every error that this software raises on purpose."""


class Retry(AlertHubError):
    """A part that is needed did not answer; the same request may succeed later. Nothing was changed.

    `after_seconds` is the wait that the caller is advised (HTTP Retry-After).
    """

    def __init__(self, reason: str, *, after_seconds: float = 1.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after_seconds = after_seconds


class TooOften(Retry):
    """The caller asked more often than it may; after the wait the same request is looked at."""


class DeadLetter(AlertHubError):
    """The input can never be processed; it is put aside with this reason (without its content)."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Refuse(AlertHubError):
    """The request is wrong or not allowed, and changed nothing.

    `field` names the input at fault in the caller's terms, `expected` says what would be accepted. Neither
    holds the refused value (S5: errors never repeat an identifier).
    """

    def __init__(self, field: str, expected: str) -> None:
        super().__init__(f"{field}: {expected}")
        self.field = field
        self.expected = expected


class NotFound(Refuse):
    """What the request names does not exist, or the caller may not know that it does."""


class NotAllowed(Refuse):
    """The caller may not do this. `expected` names who may."""


class Conflict(Refuse):
    """The state has moved on: the request was right earlier. `expected` says what the state is."""
