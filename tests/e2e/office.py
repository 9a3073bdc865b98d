"""A whole hub with the demo city, and what happens around the operations office."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from alerthub.activation import until_in_force
from alerthub.api.v1 import alert_pb2_grpc, registry_pb2_grpc, watchlist_pb2_grpc
from alerthub.api.v1.alert_pb2 import Alert, ConfirmAlertRequest, ListAlertsRequest, RejectAlertRequest
from alerthub.api.v1.common_pb2 import IDENTIFIER_KIND_PLATE, LocalizedText
from alerthub.api.v1.registry_pb2 import (
    ApplyResourcesRequest,
    CreateEnrolmentCodeRequest,
    IssueDeviceCredentialRequest,
)
from alerthub.api.v1.watchlist_pb2 import (
    AddEntryRequest,
    ApproveEntryRequest,
    EntryIdentifier,
    NewEntry,
    WithdrawEntryRequest,
)
from alerthub.cli.context import signed_in
from alerthub.embedded.folder import HubFolder
from alerthub.embedded.supervisor import START_SECONDS
from alerthub.simulator.demo_city import demo_city
from alerthub.simulator.device import DeviceLogin, gateway_client, send
from alerthub.simulator.jpeg import street
from alerthub.simulator.plates import random_plate
from alerthub.simulator.shapes import Payload, PlateRead, hikvision_anpr, new_event_id, standing_vehicle
from alerthub.terminal.enrolment import enrol

PERSON = "wanted_person_vehicle"
VEHICLE = "stolen_vehicle"
CAMERA = "demo-camera-01"
OTHER_CAMERA = "demo-camera-04"
PARKING_SENSOR = "demo-parking-01"
OFFICER = "officer-1"
_LONGEST_SECONDS = 20.0
_DAY_MS = 86_400_000

Value = TypeVar("Value")


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def eventually(look: Callable[[], Value | None], what: str, *, seconds: float = 20.0) -> Value:
    """The first value that is not None."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found is not None:
            return found
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.1)


@dataclass(frozen=True, slots=True)
class Listed:
    """A vehicle on the watchlist."""

    plate: str
    entry_id: str


class Office:
    """`alerthub up` in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = HubFolder(folder / "hub")
        self._around = folder
        self._secrets: dict[str, str] = {}
        self._processes: list[subprocess.Popen[bytes]] = []
        self._chance = random.SystemRandom()

    # The hub

    def start(self) -> None:
        """Returns once every service can do its job, the city is applied, and a patrol is on duty."""
        hub = self._launch("up", "--data", str(self.folder.root), log="up.log")

        def ready() -> bool | None:
            assert hub.poll() is None, (self._around / "up.log").read_text()[-2000:]
            return True if self._is_ready() else None

        eventually(ready, "a hub that is ready", seconds=START_SECONDS)
        self._run(self._apply())
        self._begin_patrol()

    def stop(self) -> None:
        for process in reversed(self._processes):
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(timeout=30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def _is_ready(self) -> bool:
        return self.folder.hub_file.exists() and self.folder.read_hub().get("state") == "ready"

    @property
    def address(self) -> str:
        """Of the console."""
        return str(self.folder.read_hub()["console_url"])

    def password(self, account: str) -> str:
        accounts = json.loads(self.folder.accounts_file.read_text(encoding="utf-8"))["accounts"]
        return next(str(each["password"]) for each in accounts if each["account"] == account)

    def kill_console(self) -> None:
        """Kill -9; the supervisor starts another one."""
        os.kill(self.console_pid(), signal.SIGKILL)

    def hang_console(self) -> None:
        """It stops in its tracks, with its connections open."""
        os.kill(self.console_pid(), signal.SIGSTOP)

    def wake_console(self) -> None:
        os.kill(self.console_pid(), signal.SIGCONT)

    def wait_for_console(self, other_than: int) -> None:
        eventually(
            lambda: True if self._is_ready() and self.console_pid() != other_than else None,
            "another console process",
            seconds=60,
        )

    def console_pid(self) -> int:
        services = self.folder.read_hub()["services"]
        return next(int(each["pid"]) for each in services if each["service"] == "console")

    # What happens in the city

    def lists(self, category: str) -> Listed:
        """Somebody enters a vehicle, somebody else approves it."""
        return self._run(self._list(random_plate(self._chance), category))

    def withdraws(self, listed: Listed) -> None:
        self._run(self._withdraw(listed))

    def drives_past(self, listed: Listed, camera: str = CAMERA, *, picture: bytes = b"") -> None:
        """Returns once the gateway has acknowledged it."""
        self._run(self._drive(listed.plate, camera, picture))

    def stands(self, track: str, sensor: str = PARKING_SENSOR) -> None:
        """A vehicle stands in the sensor's zone now."""
        payload = standing_vehicle(sensor, track=track, time_ms=now_ms(), event_id=new_event_id())
        self._run(self._send(sensor, "cloudevents", payload))

    def alert_of(self, listed: Listed) -> Alert:
        """The alert of this vehicle, as dispatch has it."""
        return self.becomes(listed, lambda _: True, "an alert of the listed vehicle")

    def becomes(self, listed: Listed, holds: Callable[[Alert], bool], what: str) -> Alert:
        """The vehicle's alert, once that holds of it."""
        return self._run(self._become(listed, holds, what))

    def raises(self, category: str, camera: str = CAMERA) -> tuple[Listed, Alert]:
        """A listed vehicle drives past: its alert."""
        listed = self.lists(category)
        self.drives_past(listed, camera)
        return listed, self.alert_of(listed)

    def another_desk_rejects(self, alert: Alert) -> None:
        self._run(self._reject(alert))

    def another_desk_confirms(self, alert: Alert) -> None:
        self._run(self._confirm(alert))

    # Calls

    def _run(self, work: Coroutine[Any, Any, Value]) -> Value:
        return asyncio.run(work)

    async def _apply(self) -> None:
        city = demo_city(officer=OFFICER, now_ms=now_ms())
        async with signed_in(self.folder.root, "administrator-one", "registry") as channel:
            registry = registry_pb2_grpc.RegistryServiceStub(channel)
            applied = await registry.ApplyResources(
                ApplyResourcesRequest(command_id=str(uuid.uuid4()), resources=city.resources), timeout=15
            )
            for device in (*city.cameras, *city.parking_sensors):
                issued = await registry.IssueDeviceCredential(
                    IssueDeviceCredentialRequest(device_id=device), timeout=15
                )
                self._secrets[device] = str(issued.secret)
            code = await registry.CreateEnrolmentCode(
                CreateEnrolmentCodeRequest(terminal_id="patrol-terminal", unit_id=city.units[0]), timeout=15
            )
        await enrol(
            code=code.code,
            registry_address=self.folder.read_hub()["addresses"]["registry_person"],
            ca_file=self.folder.ca_file,
            folder=self._around / "terminal",
        )
        await until_in_force(applied.active_from_ms)

    def _begin_patrol(self) -> None:
        terminal = ["--folder", str(self._around / "terminal"), "--data", str(self.folder.root)]
        who = ["--account", OFFICER, "--headless", "--accept", "--position", "39.5240,116.7060"]
        self._launch("terminal", "run", *terminal, *who, log="patrol.log")

    def _launch(self, *command: str, log: str) -> subprocess.Popen[bytes]:
        with (self._around / log).open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "alerthub.cli.main", *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._processes.append(process)
        return process

    async def _list(self, plate: str, category: str) -> Listed:
        entry = NewEntry(
            category=category,
            identifiers=[EntryIdentifier(kind=IDENTIFIER_KIND_PLATE, text=plate, masks=["exact"])],
            case_number="TEST-2026-001",
            legal_basis="a test",
            issuing_authority="test desk",
            authority_contact="+86 316 555 0101",
            instruction=LocalizedText(chinese="核对后再处置", english="Compare before you act"),
            valid_until_ms=now_ms() + _DAY_MS,
        )
        async with signed_in(self.folder.root, "editor", "watchlist") as channel:
            added = await watchlist_pb2_grpc.WatchlistServiceStub(channel).AddEntry(
                AddEntryRequest(command_id=str(uuid.uuid4()), entry=entry), timeout=15
            )
        async with signed_in(self.folder.root, "approver", "watchlist") as channel:
            approved = await watchlist_pb2_grpc.WatchlistServiceStub(channel).ApproveEntry(
                ApproveEntryRequest(command_id=str(uuid.uuid4()), entry_id=added.entry_id), timeout=15
            )
        await until_in_force(approved.active_from_ms)
        return Listed(plate, str(added.entry_id))

    async def _withdraw(self, listed: Listed) -> None:
        async with signed_in(self.folder.root, "approver", "watchlist") as channel:
            request = WithdrawEntryRequest(
                command_id=str(uuid.uuid4()), entry_id=listed.entry_id, reason="the vehicle was found"
            )
            await watchlist_pb2_grpc.WatchlistServiceStub(channel).WithdrawEntry(request, timeout=15)

    async def _drive(self, plate: str, camera: str, picture: bytes) -> None:
        read = PlateRead(plate=plate, time_ms=now_ms(), event_id=new_event_id())
        await self._send(camera, "hikvision-anpr", hikvision_anpr(read, picture or street(self._chance)))

    async def _send(self, device: str, adapter: str, payload: Payload) -> None:
        gateway_url = str(self.folder.read_hub()["gateway_url"])
        async with gateway_client(gateway_url, self.folder.ca_file) as client:
            await send(client, DeviceLogin(device, self._secrets[device]), adapter, payload)

    async def _become(self, listed: Listed, holds: Callable[[Alert], bool], what: str) -> Alert:
        deadline = time.monotonic() + _LONGEST_SECONDS
        async with signed_in(self.folder.root, "operator", "dispatch") as channel:
            stub = alert_pb2_grpc.DispatchServiceStub(channel)
            while True:
                answer = await stub.ListAlerts(ListAlertsRequest(page_size=500), timeout=15)
                found = next((each for each in answer.alerts if each.entry_id == listed.entry_id), None)
                if found is not None and holds(found):
                    return found
                assert time.monotonic() < deadline, f"not within {_LONGEST_SECONDS} s: {what}; it is {found}"
                await asyncio.sleep(0.1)

    async def _reject(self, alert: Alert) -> None:
        async with signed_in(self.folder.root, "supervisor", "dispatch") as channel:
            request = RejectAlertRequest(
                command_id=str(uuid.uuid4()), alert_id=alert.alert_id, reason="seen at another desk"
            )
            await alert_pb2_grpc.DispatchServiceStub(channel).RejectAlert(request, timeout=15)

    async def _confirm(self, alert: Alert) -> None:
        async with signed_in(self.folder.root, "supervisor", "dispatch") as channel:
            request = ConfirmAlertRequest(command_id=str(uuid.uuid4()), alert_id=alert.alert_id)
            await alert_pb2_grpc.DispatchServiceStub(channel).ConfirmAlert(request, timeout=15)
