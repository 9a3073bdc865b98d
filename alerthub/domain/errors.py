"""Errors whose type says what happens next: try again, put aside, or refuse."""

from __future__ import annotations

from alerthub.domain.texts import NO_TEXT, LocalizedText


class AlertHubError(Exception):
    """The root of every error that this software raises on purpose.

    `words` is what it says to people. Its Chinese is empty where neither an operator nor an officer meets it.
    """

    words: LocalizedText = NO_TEXT


def in_words(said: str | LocalizedText) -> LocalizedText:
    """What is said in English alone, or in both languages."""
    return said if isinstance(said, LocalizedText) else LocalizedText(english=said)


class Retry(AlertHubError):
    """A part that is needed did not answer; the same request may succeed later. Nothing was changed.

    `after_seconds` is the wait that the caller is advised (HTTP Retry-After).
    """

    def __init__(self, reason: str | LocalizedText, *, after_seconds: float = 1.0) -> None:
        self.words = in_words(reason)
        super().__init__(self.words.english)
        self.reason = self.words.english
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

    `field` names the input at fault in the caller's terms, `expected` says what would be accepted, in
    English; `words` has it in both languages. None holds the refused value (S5: errors never repeat an
    identifier).
    """

    def __init__(self, field: str, expected: str | LocalizedText) -> None:
        self.words = in_words(expected)
        super().__init__(f"{field}: {self.words.english}")
        self.field = field
        self.expected = self.words.english


class NotFound(Refuse):
    """What the request names does not exist, or the caller may not know that it does."""


class NotAllowed(Refuse):
    """The caller may not do this. `expected` names who may."""


class Conflict(Refuse):
    """The state has moved on: the request was right earlier. `expected` says what the state is."""
