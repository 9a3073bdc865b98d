"""`alerthub selftest`: the hub proves its main job on this machine, hop by hop."""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from alerthub.cli.context import fail
from alerthub.domain.errors import AlertHubError, Refuse
from alerthub.embedded.folder import HubFolder
from alerthub.selftest.chain import MainJob
from alerthub.selftest.hops import Hop, HopFailedError, Stopwatch, failure_json, success_json
from alerthub.selftest.hub import ChildHub, HubFacts


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("selftest")(selftest)


def selftest(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the folder with data and logs.")] = False,
    without: Annotated[
        str, typer.Option("--without", help="Stop this service before the first read, to see it named.")
    ] = "",
    on: Annotated[
        Path | None,
        typer.Option(
            "--on",
            help="Use the hub of this data folder, which runs and holds nothing that matters: the self-test"
            " leaves its city there. accounts.json must have an account for each role.",
        ),
    ] = None,
) -> None:
    """Start a hub in a temporary folder and run the main job on it, from a camera to an officer's outcome."""
    if on is not None and without:
        fail(Refuse("--without", "a hub that the self-test starts, so not with --on"))
    folder = Path(tempfile.mkdtemp(prefix="alerthub-selftest-"))
    watch = Stopwatch(_tell)
    try:
        asyncio.run(_run(folder, watch, without) if on is None else _run_on(HubFolder(on), folder, watch))
    except HopFailedError as failed:
        if as_json:
            sys.stdout.write(failure_json(failed) + "\n")
        else:
            _table(watch.hops)
            sys.stdout.write(f"FAILED at {failed.name}: {failed.reason}\n")
        raise typer.Exit(1) from None
    finally:
        if keep:
            _tell(f"the folder is kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    if as_json:
        sys.stdout.write(success_json(watch.hops) + "\n")
    else:
        _table(watch.hops)
        sys.stdout.write("ok\n")


async def _run(folder: Path, watch: Stopwatch, without: str) -> None:
    hub = ChildHub(folder / "hub", tell=_tell)

    def stop_one() -> None:
        if without:
            hub.pause(without)

    try:
        facts: HubFacts
        # Each part of a hub has a limit of its own, and the hub says which part was not ready.
        async with watch.hop("start the hub", at_most_seconds=None):
            facts = await hub.start()
        try:
            await MainJob(facts, watch, folder).run(before_camera=stop_one)
        except HopFailedError:
            raise
        except AlertHubError as error:
            raise HopFailedError("self-test", str(error)) from None
    finally:
        await hub.stop()


async def _run_on(hub: HubFolder, folder: Path, watch: Stopwatch) -> None:
    try:
        await MainJob(HubFacts.read(hub), watch, folder).run(before_camera=lambda: None)
    except HopFailedError:
        raise
    except AlertHubError as error:
        raise HopFailedError("self-test", str(error)) from None


def _tell(line: str) -> None:
    """Progress: on standard error, so that standard output is the result alone."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _table(hops: list[Hop]) -> None:
    for hop in hops:
        sys.stdout.write(f"{hop.name:<45} {hop.ms:>10.1f} ms\n")
