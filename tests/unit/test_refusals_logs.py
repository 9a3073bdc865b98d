"""S5: what a log or an error of the database could repeat of its input, and does not."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest
import structlog

from alerthub import postgres
from alerthub.settings import PostgresSettings
from alerthub.telemetry import configure_logging, logger

CANARY = "冀R7K2Q9"


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What a configured service writes; the process's logging is as before afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    configure_logging(service="gateway", instance="1", level="info")
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def _fail() -> None:
    raise ValueError(f"{CANARY} is no plate")


@pytest.mark.parametrize("who", ["our own", "a library's"])
def test_s5_an_exception_is_logged_by_type_and_place_and_never_with_its_text(
    written: io.StringIO, who: str
) -> None:
    # given an error whose text repeats the identifier that caused it
    try:
        _fail()
    except ValueError:
        # when it is logged
        if who == "our own":
            logger("test").exception("read_failed")
        else:
            logging.getLogger("some.library").exception("read failed")

    # then the log says what went wrong and where, and not with which identifier
    text = written.getvalue()
    told = json.loads(text)
    assert CANARY not in text
    assert told["error_type"] == "ValueError"
    assert told["error_at"][-1].endswith(":_fail")


async def test_s5_an_error_of_the_database_does_not_repeat_its_parameters() -> None:
    engine = postgres.engine(PostgresSettings(role="watchlist"))
    try:
        assert engine.sync_engine.hide_parameters
        assert not engine.sync_engine.echo
    finally:
        await engine.dispose()
