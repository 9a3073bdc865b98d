"""What logs say, and how often."""

from __future__ import annotations

import logging

from alerthub.telemetry import SayOnceASecond


def _record(sentence: str, at: float) -> logging.LogRecord:
    record = logging.LogRecord("aiokafka", logging.ERROR, __file__, 1, sentence, ("node",), None)
    record.created = at
    return record


def test_a_library_says_the_same_sentence_once_a_second() -> None:
    once = SayOnceASecond()

    said = [once.filter(_record("Unable to connect to %s", 100 + tenth / 10)) for tenth in range(25)]

    assert said.count(True) == 3


def test_another_sentence_is_said_beside_it() -> None:
    once = SayOnceASecond()
    once.filter(_record("Unable to connect to %s", 100))

    assert once.filter(_record("Unable to update metadata from %s", 100))
