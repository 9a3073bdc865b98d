"""Structured logs: an event name and fields as JSON on standard error.

No identifier of a person or vehicle, no token and no secret is ever a field (S5). Exceptions are logged by
type and place, since their text may repeat the input that caused them.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any

import structlog


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger for the module `name`."""
    return structlog.stdlib.get_logger(name)


def _exception_without_text(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replaces exception text by the exception's type and the places it passed."""
    exc_info = event.pop("exc_info", None)
    if exc_info is True:
        exc_info = sys.exc_info()
    elif isinstance(exc_info, BaseException):
        exc_info = (type(exc_info), exc_info, exc_info.__traceback__)
    if isinstance(exc_info, tuple) and exc_info[0] is not None:
        event["error_type"] = exc_info[0].__name__
        event["error_at"] = [
            f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}:{frame.name}"
            for frame in traceback.extract_tb(exc_info[2])[-6:]
        ]
    return event


class SayOnceASecond(logging.Filter):
    """Lets one record of the same sentence through each second.

    aiokafka says for each request that a broker is away, thousands of times during one restart.
    """

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        sentence = str(record.msg)
        if record.created - self._said.get(sentence, 0.0) < 1.0:
            return False
        self._said[sentence] = record.created
        return True


def configure_logging(*, service: str, instance: str, level: str) -> None:
    """Sends every log of the process, libraries' too, as one JSON object a line to standard error."""
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _exception_without_text,
    ]
    structlog.configure(
        processors=[*processors, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service, instance=instance)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=processors,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Libraries log what they were sent when asked for detail (SQL parameters, records): never below warning.
    for noisy in ("sqlalchemy", "aiokafka", "faust", "mode", "grpc", "httpx", "uvicorn.access", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    for library in ("aiokafka", "aiokafka.consumer.fetcher", "aiokafka.producer.sender"):
        logging.getLogger(library).addFilter(SayOnceASecond())
