"""`alerthub simulate`: a living city on a running hub, and how many of its alerts the hub raised."""

from __future__ import annotations

import asyncio
import json
import secrets
import signal
import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Annotated

import grpc
import typer
from rich.console import Console

from alerthub.cli.context import DEFAULT_DATA, DataOption, JsonOption, first_account, run, signed_in
from alerthub.domain.errors import Refuse, Retry
from alerthub.embedded.folder import HubFolder
from alerthub.simulator.city import DWELL_SECONDS, MAXIMUM_SCALE
from alerthub.simulator.connections import HubAddresses
from alerthub.simulator.office import Office
from alerthub.simulator.report import as_object, as_table, truth_lines
from alerthub.simulator.run import Finished, Run
from alerthub.simulator.scenario import MAXIMUM_HAPPENINGS, Figures, make_scenario

EXIT_DIFFERENT = 1
_READS_A_CAMERA = 10.0
"""A second, at most: a plate reader over four lanes reads five."""
_CAMERAS_A_TOWN = 40
_MAXIMUM_SPEED = 12.0
"""At more, the lateness that rules allow would be shorter than a busy machine's delays."""


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(
        "simulate",
        epilog="Examples:  alerthub simulate --speed 12 --duration 90   |   alerthub simulate --seed 7"
        " --rate 100 --scale 4 --truth truth.jsonl --report report.json",
    )(simulate)


def simulate(
    *,
    data: DataOption = DEFAULT_DATA,
    seed: Annotated[
        int | None,
        typer.Option("--seed", min=0, help="The same seed gives the same city. Default: a new one."),
    ] = None,
    rate: Annotated[
        float, typer.Option("--rate", help="Observations a second, on average: rush hours bring more.")
    ] = 20.0,
    scale: Annotated[
        int, typer.Option("--scale", help="Towns: each is 4 districts, 40 cameras, 9 bays, 6 panic buttons.")
    ] = 1,
    duration: Annotated[int, typer.Option("--duration", help="Seconds of sending.")] = 600,
    speed: Annotated[
        float,
        typer.Option(
            "--speed",
            help="How much faster the city's time passes: vehicles drive faster, and the rules registered"
            " for it allow less (at 12 a bay allows 20 s instead of 4 minutes). The hub's own times stay.",
        ),
    ] = 1.0,
    begin: Annotated[
        str, typer.Option("--begin", help="The time of day in the city at first, HH:MM.")
    ] = "07:30",
    truth: Annotated[
        Path | None, typer.Option("--truth", help="Write what must become of everything, as JSON lines.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="Write the verdict with all reasons, as JSON.")
    ] = None,
    keep_entries: Annotated[
        bool, typer.Option("--keep-entries", help="Do not withdraw the run's entries at its end.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Let a simulated city send through the real adapters, and compare what the hub raised with the truth.

    Ctrl-C ends the sending, and what was sent is judged; a second one ends the command. Exit code 1:
    something was missed, raised too much, or refused. Use a hub that is there for trying: vehicles are listed
    on it.
    """

    async def work() -> Finished:
        figures = _figures(seed=seed, rate=rate, scale=scale, duration=duration, speed=speed, begin=begin)
        writers = [_writable(path, name) for path, name in ((truth, "--truth"), (report, "--report"))]
        hub = _addresses(data)
        _tell(f"seed {figures.seed}")
        if figures.duration_seconds * figures.speed < 1.6 * DWELL_SECONDS:
            _tell("too short for a vehicle to stand too long: more --duration, or --speed")
        _tell("deciding what will happen")
        scenario = make_scenario(figures)

        def sign_in(role: str, audience: str) -> AbstractAsyncContextManager[grpc.aio.Channel]:
            return signed_in(data, first_account(data, [role]), audience)

        officer = first_account(data, ["ROLE_OFFICER"])
        whole = Run(scenario, hub, Office(sign_in, _tell), officer=officer, tell=_tell)
        finished = await whole.whole(_stop_on_signal(), keep_entries=keep_entries)
        said = as_object(finished, figures)
        if writers[0] is not None:
            lines = "".join(f"{line}\n" for line in truth_lines(finished, scenario.cast))
            writers[0].write_text(lines, encoding="utf-8")
        if writers[1] is not None:
            writers[1].write_text(json.dumps(said, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        if as_json:
            typer.echo(json.dumps(said, ensure_ascii=False))
        else:
            Console(highlight=False, soft_wrap=True).print(as_table(finished))
        return finished

    finished = run(work(), as_json=as_json)
    if not finished.verdict.perfect or finished.refused:
        raise typer.Exit(EXIT_DIFFERENT)


def _figures(
    *, seed: int | None, rate: float, scale: int, duration: int, speed: float, begin: str
) -> Figures:
    """What was asked for. Refuse, naming the option."""
    if not 1 <= scale <= MAXIMUM_SCALE:
        raise Refuse("--scale", f"1 to {MAXIMUM_SCALE} towns")
    if not 1 <= speed <= _MAXIMUM_SPEED:
        raise Refuse("--speed", f"1 to {_MAXIMUM_SPEED:.0f}: at more, delays would decide what is too late")
    if not 10 <= duration <= 86_400:
        raise Refuse("--duration", "10 to 86400 seconds")
    most = scale * _CAMERAS_A_TOWN * _READS_A_CAMERA
    if not 1 <= rate <= most:
        raise Refuse("--rate", f"1 to {most:.0f} observations a second at --scale {scale}")
    if rate * duration > MAXIMUM_HAPPENINGS:
        raise Refuse("--duration", f"at most {MAXIMUM_HAPPENINGS} observations in a run")
    hour, _, minute = begin.partition(":")
    if not (hour.isdecimal() and minute.isdecimal() and int(hour) < 24 and int(minute) < 60):
        raise Refuse("--begin", "a time of day such as 07:30")
    return Figures(
        seed=secrets.randbelow(1_000_000) if seed is None else seed,
        scale=scale,
        rate=rate,
        duration_seconds=duration,
        speed=speed,
        begin_minute=int(hour) * 60 + int(minute),
    )


def _addresses(data: Path) -> HubAddresses:
    folder = HubFolder(data)
    hub = folder.read_hub()
    if hub.get("state") != "ready":
        raise Retry(f"the hub in {data} is not ready; start it with `alerthub up --data {data}`")
    return HubAddresses(
        gateway_url=str(hub["gateway_url"]),
        gateway_grpc=str(hub["gateway_grpc"]),
        mqtt=str(hub["addresses"]["mqtt"]),
        ca_file=folder.ca_file,
    )


def _writable(path: Path | None, name: str) -> Path | None:
    """Found out before the run, not after it."""
    if path is not None and not path.absolute().parent.is_dir():
        raise Refuse(name, "a file in a folder that exists")
    return path


def _stop_on_signal() -> asyncio.Event:
    """Set by the first SIGINT or SIGTERM. The second has its usual effect."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop() -> None:
        _tell("stopping; what was sent is judged. Once more to end at once")
        stopping.set()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    return stopping


def _tell(line: str) -> None:
    """Progress: on standard error, so that standard output is the result alone."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
