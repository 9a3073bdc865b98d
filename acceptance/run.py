"""One run of the black-box acceptance: from an empty folder to the verdict. See README.md."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import verdict
import wire as wire_module
from chaos import kill_forever
from city import City, Listing, random_city
from devices import Fleet
from hub import Hub, run_command
from office import Office
from screens import Terminal
from traffic import Traffic, make_traffic, reads_after_withdrawal

CORRELATORS = 2
SETTLE_SECONDS = 150.0
"""After the last acknowledgement: Kafka's and the correlators' recovery, deadlines of interrupted deliveries
(15 s each, and 20 s of grace)."""
CALM_SECONDS = 14.0
"""Longer than the correlators' ten seconds between checkpoints. An entry is withdrawn when the state that
counted its hits is on the disk: otherwise a kill would make a correlator evaluate the same reads anew,
without the entry."""
AUDITED = ("registry", "watchlist", "dispatch")
LEDGER_METRIC = "alerthub_correlator_ledger_observations"
DEAD_LETTER_METRIC = "alerthub_correlator_ledger_dead_lettered_batches"


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    duration: int
    rate: int
    kill_every: float
    seed: int
    keep: bool


def main() -> int:
    """Exit code 0: passed."""
    options = _options()
    folder = Path(tempfile.mkdtemp(prefix="alerthub-accept-"))
    _tell(f"seed {options.seed}, folder {folder}")
    passed = False
    try:
        passed = asyncio.run(Run(options, folder).whole())
    finally:
        if options.keep or not passed:
            _tell(f"the folder is kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return 0 if passed else 1


class Run:
    """One run in one folder."""

    def __init__(self, options: Options, folder: Path) -> None:
        self._options = options
        self._folder = folder
        self._chance = random.Random(options.seed)  # noqa: S311 - repeatable, not secret
        compiled = folder / "wire"
        compiled.mkdir()
        self._wire = wire_module.compile_protos(compiled)
        self._log = (folder / "hub.log").open("a", encoding="utf-8")
        self._hub = Hub(folder / "hub", lambda line: _note(self._log.write, line))
        self._calm = asyncio.Lock()
        self._killed: Counter[str] = Counter()

    async def whole(self) -> bool:
        """Start, run, settle, verdict, stop."""
        _tell("starting the hub")
        try:
            await self._hub.start(correlators=CORRELATORS)
            return await self._examine()
        finally:
            code = await self._hub.stop()
            _tell(f"the hub ended with exit code {code}")
            self._log.close()

    async def _examine(self) -> bool:
        city = random_city(self._chance)
        office = Office(self._wire, self._hub)
        _tell("applying the city, listing plates, enrolling terminals")
        secrets = await office.apply(city)
        await office.list_plates(city.plates)
        finishing = {each.entry_id for each in city.plates if each.listing is Listing.FINISHES}
        terminals = []
        for unit in city.units:
            terminal = Terminal(
                self._wire,
                self._hub,
                office.officer,
                f"terminal-{unit}",
                finishes=lambda alert: alert.entry_id in finishing,
                chance=random.Random(self._chance.random()),  # noqa: S311
            )
            await terminal.enrol(await office.enrolment_code(terminal.terminal_id, unit))
            terminals.append(terminal)
        traffic = make_traffic(city, self._chance, duration=self._options.duration, rate=self._options.rate)
        fleet = Fleet(
            traffic.events,
            url=self._hub.gateway_url,
            ca_file=self._hub.ca_file,
            secrets=secrets,
            folder=self._folder / "requests",
        )
        running = [asyncio.create_task(terminal.run()) for terminal in terminals]
        running.append(asyncio.create_task(office.confirm_forever(city)))
        try:
            for terminal in terminals:
                async with asyncio.timeout(60):
                    await terminal.steady.wait()
            _tell(f"{len(terminals)} terminals are connected; {len(traffic.events)} events begin")
            await self._send(city, office, traffic, fleet, terminals)
            return await self._judge(city, office, traffic, fleet, terminals)
        finally:
            for task in running:
                task.cancel()
            for result in await asyncio.gather(*running, return_exceptions=True):
                if isinstance(result, Exception):
                    _tell(f"a task ended with {type(result).__name__}: {result}")

    async def _send(
        self, city: City, office: Office, traffic: Traffic, fleet: Fleet, terminals: list[Terminal]
    ) -> None:
        started = time.monotonic()
        chaos = asyncio.create_task(
            kill_forever(
                self._hub,
                self._chance,
                every_seconds=self._options.kill_every,
                calm=self._calm,
                tell=_tell,
                killed=self._killed,
            )
        )
        progress = asyncio.create_task(self._progress(started, fleet, terminals))
        try:
            async with asyncio.TaskGroup() as tasks:
                withdrawing = tasks.create_task(self._withdraw(city, office, traffic, fleet))
                tasks.create_task(fleet.run(started, until=withdrawing))
        finally:
            for task in (chaos, progress):
                task.cancel()
            await asyncio.gather(chaos, progress, return_exceptions=True)

    async def _withdraw(self, city: City, office: Office, traffic: Traffic, fleet: Fleet) -> None:
        withdrawn = {each.plate: each for each in city.plates if each.listing is Listing.WITHDRAWN}
        reads = [each for each in traffic.events if each.plate in withdrawn]
        while not all(each.acknowledged for each in reads):  # noqa: ASYNC110 - devices know no events
            await asyncio.sleep(1.0)
        expected = Counter(f"entry:{withdrawn[each.plate].entry_id}" for each in reads)
        await office.until_counted(dict(expected))
        async with self._calm:
            await asyncio.sleep(CALM_SECONDS)
            await office.withdraw(city.plates)
        _tell(f"{len(withdrawn)} entries are withdrawn")
        await asyncio.sleep(3.0)
        after = reads_after_withdrawal(city, self._chance)
        traffic.events.extend(after)
        fleet.add(after)

    async def _progress(self, started: float, fleet: Fleet, terminals: list[Terminal]) -> None:
        while True:
            await asyncio.sleep(10)
            shown = sum(len(terminal.screen) for terminal in terminals)
            _tell(
                f"{time.monotonic() - started:4.0f} s: {fleet.acknowledged_answers} acknowledged,"
                f" {fleet.unfinished} unfinished, {shown} on screens, answers {dict(fleet.answers)}"
            )

    async def _judge(
        self, city: City, office: Office, traffic: Traffic, fleet: Fleet, terminals: list[Terminal]
    ) -> bool:
        truth = traffic.truth(city)
        (self._folder / "truth.json").write_text(truth.as_json())
        acknowledged = sum(1 for event in traffic.events if event.acknowledged)
        for terminal in terminals:
            terminal.stays_on = True
        _tell("everything is acknowledged; waiting until the hub has settled")
        until = time.monotonic() + SETTLE_SECONDS

        async def look() -> tuple[verdict.Ledger, list[str]]:
            ledger = await self._ledger()
            problems: list[str] = []
            if acknowledged != truth.distinct:
                problems.append(f"{truth.distinct - acknowledged} events were never acknowledged")
            problems += verdict.on_screens(terminals, truth)
            problems += verdict.never_shown(terminals, city)
            problems += verdict.alerts_and_sightings(await office.all_alerts(), truth)
            problems += verdict.balance(ledger, truth, acknowledged=acknowledged)
            for terminal in terminals:
                problems.extend(f"{terminal.terminal_id} got no answer: {one}" for one in terminal.unanswered)
            # Last, since there can be hundreds of them, and fifty problems are printed.
            return ledger, [*problems, *fleet.wrong]

        while True:
            ledger, problems = await look()
            if not problems or time.monotonic() > until:
                break
            await asyncio.sleep(3.0)
        if not problems:
            # Nothing of it may change afterwards either.
            await asyncio.sleep(5.0)
            ledger, problems = await look()
        problems += await self._audit(office)
        sys.stdout.write(
            verdict.as_table(ledger, truth, acknowledged=acknowledged, answers=fleet.answers) + "\n"
        )
        sys.stdout.write(f"killed                   {dict(sorted(self._killed.items()))}\n")
        sys.stdout.write(f"on screens               {sum(len(each.screen) for each in terminals)}\n")
        for problem in problems[:50]:
            sys.stdout.write(f"WRONG: {problem}\n")
        sys.stdout.write("passed\n" if not problems else f"FAILED: {len(problems)} problems\n")
        return not problems

    async def _ledger(self) -> verdict.Ledger:
        samples = await self._hub.metric("correlator", LEDGER_METRIC)

        def count(fate: str) -> int:
            return int(sum(value for labels, value in samples.items() if f'result="{fate}"' in labels))

        dead_lettered = await self._hub.metric("correlator", DEAD_LETTER_METRIC)
        return verdict.Ledger(
            received=count("received"),
            repeats=count("repeat"),
            matched=count("matched"),
            late=count("late"),
            dropped=count("without_identifiers"),
            dead_lettered=int(sum(dead_lettered.values())),
        )

    async def _audit(self, office: Office) -> list[str]:
        problems = []
        for service in AUDITED:
            exported = self._folder / f"audit-{service}.jsonl"
            code, said = await run_command(
                *("audit", "export", "--service", service, "--account", office.auditor.name),
                *("--data", str(self._hub.folder), "--output", str(exported)),
            )
            if code == 0:
                code, said = await run_command(
                    "audit", "verify", str(exported), "--authority", str(self._hub.ca_file)
                )
            if code != 0:
                problems.append(f"the audit log of {service} does not verify: {said.strip()[-300:]}")
        return problems


def _options() -> Options:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--duration", type=int, default=600, help="seconds of traffic")
    parser.add_argument("--rate", type=int, default=200, help="observations a second")
    parser.add_argument("--kill-every", type=float, default=20.0, help="seconds between kills")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    parser.add_argument("--keep", action="store_true", help="keep the folder")
    given = parser.parse_args()
    return Options(given.duration, given.rate, given.kill_every, given.seed, given.keep)


def _note(write: Callable[[str], object], line: str) -> None:
    with contextlib.suppress(ValueError):
        write(line + "\n")


def _tell(line: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    raise SystemExit(main())
