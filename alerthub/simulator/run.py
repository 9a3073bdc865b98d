"""One run of the simulator on a hub: prepare, send, wait until the hub has settled, judge."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from alerthub.simulator.city import Device, Way
from alerthub.simulator.connections import Connections, Credentials, HubAddresses, connected
from alerthub.simulator.fleet import Fleet
from alerthub.simulator.happenings import Happening
from alerthub.simulator.messages import Teller
from alerthub.simulator.office import Office, now_ms
from alerthub.simulator.raised import Subjects
from alerthub.simulator.resources import resources
from alerthub.simulator.scenario import Scenario
from alerthub.simulator.truth import Truth, truth_of
from alerthub.simulator.verdict import Raised, Verdict, judge, missing

_PROGRESS_SECONDS = 5.0
_SETTLE_SECONDS = 20.0
"""At most, until every alert is there that must be: a correlator's restart takes less."""
_QUIET_SECONDS = 2.0
"""More, in which what must not come would come."""
_LOOK_SECONDS = 0.5
_ENTRIES_OUTLIVE_MS = 600_000
_PREPARE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Finished:
    """What a run came to. `others`: alerts that it is not to answer for; `other_rules`: those of the hub that
    hold for its devices too; `answers`: with those of repeats."""

    truth: Truth
    verdict: Verdict
    entries: Mapping[str, int]
    acknowledged: int
    answers: int
    refused: Mapping[str, int]
    others: int
    other_rules: tuple[str, ...]
    interrupted: bool


class Run:
    """One scenario on one hub. `tell` is told what it does, a line each."""

    def __init__(
        self,
        scenario: Scenario,
        hub: HubAddresses,
        office: Office,
        *,
        officer: str,
        tell: Callable[[str], None],
    ) -> None:
        self._scenario = scenario
        self._hub = hub
        self._office = office
        self._officer = officer
        self._tell = tell

    async def whole(self, stopping: asyncio.Event, *, keep_entries: bool) -> Finished:
        """From registering to the verdict. `stopping` ends the sending: what was sent is judged."""
        scenario = self._scenario
        with tempfile.TemporaryDirectory(prefix="alerthub-simulate-") as folder:
            known, entries = await self._prepare(Path(folder))
            other_rules = await self._office.other_rules()
            if other_rules:
                self._tell(f"the hub's own rules see this city too: {', '.join(other_rules)}")
            async with connected(scenario.city, self._hub, known) as connections:
                begins_ms = now_ms()
                teller = Teller(f"{begins_ms:x}", begins_ms)
                fleet = await self._send_all(connections, teller, stopping)
        told = fleet.told
        truth = truth_of(told, city=scenario.city, cast=scenario.cast, times=scenario.times)
        subjects = Subjects(scenario.city, teller, told, truth.key_of, entries)
        raised, others = await self._settled(truth, subjects, begins_ms)
        if not keep_entries:
            self._tell("withdrawing the run's entries")
            await self._office.withdraw(entries, scenario.cast)
        return Finished(
            truth=truth,
            verdict=judge(truth, raised),
            entries=entries,
            acknowledged=fleet.acknowledged,
            answers=fleet.answers,
            refused=dict(fleet.refused),
            others=others,
            other_rules=tuple(other_rules),
            interrupted=stopping.is_set(),
        )

    async def _prepare(self, folder: Path) -> tuple[Credentials, dict[str, int]]:
        scenario, office = self._scenario, self._office
        city = scenario.city
        self._tell(f"registering {len(city.devices)} devices in {len(city.districts)} districts")
        await office.apply(resources(city, scenario.times, officer=self._officer, now_ms=now_ms()))
        certificates = {
            town: await office.certificate(city.edge_id(town), folder, self._hub.ca_file)
            for town in range(len(city.towns))
        }
        secrets = await office.secrets(
            [each.device_id for each in city.devices if each.way is not Way.STREAM]
        )
        self._tell(f"listing {len(scenario.cast)} vehicles: one person enters, another approves")
        valid_ms = scenario.figures.duration_ms + _PREPARE_MS + _ENTRIES_OUTLIVE_MS
        entries = await office.list_vehicles(scenario.cast, valid_ms=valid_ms)
        return Credentials(secrets, certificates), entries

    async def _send_all(self, connections: Connections, teller: Teller, stopping: asyncio.Event) -> Fleet:
        async def send(device: Device, happening: Happening) -> None:
            await connections.send(teller, device, happening)

        fleet = Fleet(self._scenario, send)
        self._tell(
            f"sending {len(self._scenario.happenings)} observations of {self._scenario.vehicles} vehicles"
        )
        fleet.begin()
        progress = asyncio.create_task(self._progress(fleet))
        try:
            await fleet.run(stopping)
        finally:
            progress.cancel()
            await asyncio.gather(progress, return_exceptions=True)
        return fleet

    async def _progress(self, fleet: Fleet) -> None:
        duration = self._scenario.figures.duration_seconds
        while True:
            await asyncio.sleep(_PROGRESS_SECONDS)
            self._tell(
                f"{fleet.now_ms() // 1000:4} of {duration} s: {fleet.acknowledged} acknowledged,"
                f" {fleet.behind} devices busy or waiting, {sum(fleet.refused.values())} refused"
            )

    async def _settled(self, truth: Truth, subjects: Subjects, since_ms: int) -> tuple[list[Raised], int]:
        self._tell("waiting until the hub has raised what it must")
        until_ms = now_ms() + round(_SETTLE_SECONDS * 1_000)
        while True:
            raised, _ = subjects.of(await self._office.alerts(since_ms))
            if not missing(truth, raised) or now_ms() > until_ms:
                break
            await asyncio.sleep(_LOOK_SECONDS)
        await asyncio.sleep(_QUIET_SECONDS)
        return subjects.of(await self._office.alerts(since_ms))
