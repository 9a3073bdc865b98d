"""`alerthub up` runs the whole hub in one folder; `alerthub run` runs one service of it."""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from alerthub.cli.context import DEFAULT_DATA, DataOption, fail, password_of
from alerthub.domain.errors import AlertHubError, Refuse
from alerthub.embedded.catalogue import SERVICES
from alerthub.embedded.folder import HubFolder
from alerthub.embedded.supervisor import HubShape, Supervisor


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command(
        "up",
        epilog="Examples:  alerthub up   |   alerthub up --demo --data /srv/hub   |   alerthub up --fresh",
    )(up)
    app.command("run", epilog="Example:  ALERTHUB_KAFKA__BOOTSTRAP=kafka:9093 … alerthub run gateway")(
        run_service
    )


def up(
    *,
    data: DataOption = DEFAULT_DATA,
    demo: Annotated[bool, typer.Option("--demo", help="Load a demo city and let it send.")] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Begin again: deletes what the folder holds, keys and alerts too.")
    ] = False,
    correlators: Annotated[int, typer.Option(min=1, max=8, help="How many correlator processes.")] = 1,
    officers: Annotated[
        int, typer.Option(min=1, max=500, help="How many officers' accounts a new hub begins with.")
    ] = 3,
    retention_minutes: Annotated[
        int,
        typer.Option(
            help="After how long what did not hit is forgotten. Above 24 h (1440 minutes) is refused."
        ),
    ] = 60,
    canary_seconds: Annotated[
        float,
        typer.Option(min=1, max=300, help="Between two of the hub's own reads (see `alerthub canary`)."),
    ] = 30.0,
) -> None:
    """Run everything on this machine: Kafka, PostgreSQL and all services. Ctrl-C stops all of it.

    A second run on the same folder continues where the first stopped.
    """
    console = Console(stderr=False, highlight=False, soft_wrap=True)
    stopping = threading.Event()

    def ask_to_stop(_: int, __: FrameType | None) -> None:
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, ask_to_stop)
    folder = HubFolder(data)
    shape = HubShape(
        correlators=correlators,
        officers=officers,
        retention_minutes=retention_minutes,
        canary_seconds=canary_seconds,
    )
    try:
        supervisor = Supervisor(folder, shape=shape, tell=lambda line: console.print(line, markup=False))
    except AlertHubError as error:
        fail(error)
    try:
        supervisor.start(fresh=fresh, stopping=stopping.is_set)
        if not stopping.is_set():
            _say_where(console, folder)
            if demo:
                _say_sign_in(console, folder)
                _run_demo(supervisor, folder, stopping)
            else:
                supervisor.run(stopping.is_set)
        console.print("Stopping …")
    except AlertHubError as error:
        fail(error)
    finally:
        supervisor.stop()
    console.print("Stopped. Nothing is left running.")


def _run_demo(supervisor: Supervisor, folder: HubFolder, stopping: threading.Event) -> None:
    """The demo runs on a thread of its own: children belong to the main thread."""
    from alerthub.cli.demo import run_demo  # its city and devices are needed by nobody else

    failure: list[AlertHubError] = []

    def work() -> None:
        try:
            run_demo(folder, stopping)
        except AlertHubError as error:
            failure.append(error)
        finally:
            stopping.set()

    thread = threading.Thread(target=work, name="demo")
    thread.start()
    supervisor.run(stopping.is_set)
    thread.join(timeout=10)
    if failure:
        raise failure[0]


def _say_where(console: Console, folder: HubFolder) -> None:
    hub = folder.read_hub()
    console.print(
        f"The hub is ready. Devices: {hub['gateway_url']}  Data, logs and accounts: {folder.root.resolve()}",
        markup=False,
    )
    if "console_url" in hub:
        console.print(f"The office's console: {hub['console_url']}", markup=False)
    console.print(
        f"Look closer: alerthub doctor --data {folder.root}  For Prometheus: {folder.metrics_targets_file}",
        markup=False,
    )


def _say_sign_in(console: Console, folder: HubFolder) -> None:
    """The demo's operator: the password is random, and the hub listens on the loopback alone."""
    password = password_of("operator", folder)
    console.print(f"Sign in there as operator with the password {password}", markup=False)


def run_service(
    service: Annotated[
        str,
        typer.Argument(help="registry, watchlist, gateway, correlator, dispatch, push, console, canary."),
    ],
) -> None:
    """Run one service in the foreground, with settings from ALERTHUB_* variables, as in a container."""
    names = [specification.name for specification in SERVICES]
    if service not in names:
        fail(Refuse("SERVICE", f"one of {', '.join(names)}"))
    os.environ.setdefault("ALERTHUB_SERVICE", service)
    sys.argv = [f"alerthub run {service}"]
    module = next(each.module for each in SERVICES if each.name == service)
    runpy.run_module(module, run_name="__main__", alter_sys=True)
