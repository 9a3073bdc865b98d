"""`alerthub capacity`: what a city needs, from its figures and from measured rates."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from alerthub.cli.context import JsonOption, fail
from alerthub.domain.capacity import Capacity, CityFigures, Measured, Policy, capacity
from alerthub.domain.errors import AlertHubError, Refuse

_REFERENCE = CityFigures()
_MOST_CITIES = 1_000


@dataclass(frozen=True, slots=True)
class Rates:
    """Measured rates, and where they were measured."""

    machine: str
    measured: Measured


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(
        "capacity",
        epilog="Examples:  alerthub capacity   |   alerthub capacity --times 1,10,100   |   alerthub capacity"
        " --cameras 3000 --peak 400 --average 90 --pictured 0.2 --explain",
    )(plan)


def plan(
    *,
    cameras: Annotated[int, typer.Option("--cameras", help="Devices.")] = _REFERENCE.cameras,
    average: Annotated[
        float, typer.Option("--average", help="Observations a second, over a day.")
    ] = _REFERENCE.average_per_second,
    peak: Annotated[
        float, typer.Option("--peak", help="Observations a second, in the busiest minutes.")
    ] = _REFERENCE.peak_per_second,
    entries: Annotated[int, typer.Option("--entries", help="Of the watchlist.")] = _REFERENCE.entries,
    terminals: Annotated[int, typer.Option("--terminals", help="Of patrols.")] = _REFERENCE.terminals,
    zones: Annotated[int, typer.Option("--zones", help="Zones with a dwell rule.")] = _REFERENCE.dwell_zones,
    alerts: Annotated[float, typer.Option("--alerts", help="An hour.")] = _REFERENCE.alerts_per_hour,
    retention: Annotated[
        int, typer.Option("--retention", help="Minutes until what did not hit is forgotten.")
    ] = _REFERENCE.retention_minutes,
    picture: Annotated[int, typer.Option("--picture", help="Bytes of a picture.")] = _REFERENCE.picture_bytes,
    pictured: Annotated[
        float, typer.Option("--pictured", help="Share of the observations that come with a picture.")
    ] = _REFERENCE.pictured_share,
    streamed: Annotated[
        float, typer.Option("--streamed", help="Share of those without that edge servers send by gRPC.")
    ] = _REFERENCE.streamed_share,
    headroom: Annotated[float, typer.Option("--headroom", help="Share of every core that is left free.")] = 1
    - Policy().used,
    times: Annotated[
        str, typer.Option("--times", help="For so many such cities in one hub: 10, or several as 1,10,100.")
    ] = "1",
    measured: Annotated[
        Path | None, typer.Option("--measured", help="Rates of another machine, as docs/capacity.md says.")
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Every line's formula.")] = False,
    as_json: JsonOption = False,
) -> None:
    """How many cores, partitions and bytes a city needs. The defaults are the reference city's.

    An estimate from rates that one machine did: measure yours before you buy (`make bench`).
    """
    figures = CityFigures(
        cameras=cameras,
        average_per_second=average,
        peak_per_second=peak,
        entries=entries,
        terminals=terminals,
        dwell_zones=zones,
        alerts_per_hour=alerts,
        retention_minutes=retention,
        picture_bytes=picture,
        pictured_share=pictured,
        streamed_share=streamed,
    )
    try:
        rates = read_rates(measured)
        policy = Policy(used=round(1 - headroom, 6))
        found = {
            factor: capacity(figures.times(factor), rates.measured, policy) for factor in _factors(times)
        }
    except AlertHubError as error:
        fail(error, as_json=as_json)
    if as_json:
        typer.echo(json.dumps(_as_object(figures, rates, policy, found)))
        return
    console = Console(highlight=False)
    console.print(_as_table(found), soft_wrap=False)
    if explain:
        for need in found[min(found)].needs:
            console.print(f"{need.name} = {need.formula}", markup=False)
    console.print(f"Rates: {rates.machine}. {headroom:.0%} of every core is left free.", markup=False)


def read_rates(path: Path | None) -> Rates:
    """From a file, else those that came with the program. Refuse, naming what is missing."""
    try:
        if path is None:
            text = resources.files("alerthub.cli").joinpath("measured_rates.json").read_text(encoding="utf-8")
        else:
            text = path.read_text(encoding="utf-8")
        content = json.loads(text)
        rates = content["rates"]
        machine = str(content["machine"])
    except (OSError, ValueError, KeyError, TypeError):
        raise Refuse("--measured", "a JSON file with machine and rates, as docs/capacity.md says") from None
    values = {}
    for field in fields(Measured):
        try:
            values[field.name] = float(rates[field.name]["value"])
        except (KeyError, TypeError, ValueError):
            raise Refuse(f"rates.{field.name}", "an object with a number as its value") from None
    return Rates(machine, Measured(**values))


def _factors(times: str) -> list[int]:
    parts = [part.strip() for part in times.split(",")]
    if not all(part.isdecimal() and 1 <= int(part) <= _MOST_CITIES for part in parts) or len(parts) > 5:
        raise Refuse("--times", f"up to five whole numbers from 1 to {_MOST_CITIES}, with commas between")
    return sorted({int(part) for part in parts})


def _as_table(found: dict[int, Capacity]) -> Table:
    table = Table()
    table.add_column("needed at the peak")
    for factor in found:
        table.add_column("the city" if factor == 1 else f"{factor} of it", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for lines in zip(*(each.needs for each in found.values()), strict=True):
        table.add_row(lines[0].name, *(_shown(line.amount) for line in lines), lines[0].unit)
    return table


def _shown(amount: float) -> str:
    return f"{amount:,.0f}" if amount >= 100 or amount == int(amount) else f"{amount:.2g}"


def _as_object(
    figures: CityFigures, rates: Rates, policy: Policy, found: dict[int, Capacity]
) -> dict[str, object]:
    return {
        "ok": True,
        "machine": rates.machine,
        "figures": asdict(figures),
        "rates": asdict(rates.measured),
        "headroom": round(1 - policy.used, 6),
        "cities": [
            {"times": factor, "needs": [asdict(need) for need in each.needs]}
            for factor, each in found.items()
        ],
    }
