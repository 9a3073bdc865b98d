"""`python -m services.push`: runs until SIGTERM or SIGINT; exits with 1 when a part fails for good."""

from __future__ import annotations

import asyncio
import signal
import sys

from alerthub.domain.errors import AlertHubError
from alerthub.telemetry import configure_logging, logger
from services.push.service import build
from services.push.settings import PushSettings

log = logger(__name__)


async def run(settings: PushSettings) -> int:
    """Runs the service; returns the exit status."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    service = build(settings)
    try:
        await service.start()
        log.info("push_started")
        stopped = asyncio.create_task(stopping.wait())
        failed = asyncio.create_task(service.failed())
        await asyncio.wait({stopped, failed}, return_when=asyncio.FIRST_COMPLETED)
        status = 1 if failed.done() else 0
        for task in (stopped, failed):
            task.cancel()
    except AlertHubError as error:
        log.error("push_cannot_start", exc_info=True, reason=str(error))
        return 1
    else:
        return status
    finally:
        await service.stop()
        log.info("push_stopped")


def main() -> None:
    settings = PushSettings()
    configure_logging(service=settings.service, instance=settings.instance, level=settings.log_level)
    sys.exit(asyncio.run(run(settings)))


if __name__ == "__main__":
    main()
