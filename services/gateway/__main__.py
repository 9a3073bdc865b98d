"""`python -m services.gateway`: runs until SIGTERM or SIGINT; exits non-zero when only a restart helps."""

from __future__ import annotations

import asyncio
import signal
import sys

import uvloop

from alerthub.telemetry import configure_logging, logger
from services.gateway.service import build
from services.gateway.settings import GatewaySettings

log = logger("services.gateway")


async def _run(settings: GatewaySettings) -> int:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    service = build(settings)
    stopping = asyncio.create_task(ended.wait())
    starting = asyncio.create_task(service.start())
    try:
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if ended.is_set():
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            return 0
        await starting
        failing = asyncio.create_task(service.wait_for_failure())
        await asyncio.wait({failing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        return 0 if ended.is_set() else 1
    finally:
        await service.stop()


def main() -> int:
    """Runs the gateway; the exit code."""
    settings = GatewaySettings()
    configure_logging(service=settings.service, instance=settings.instance, level=settings.log_level)
    return uvloop.run(_run(settings))


if __name__ == "__main__":
    sys.exit(main())
