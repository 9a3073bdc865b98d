"""What `alerthub up --demo` does once the hub is ready: a city that sends, a terminal, and a view of both.

It lists and approves two vehicles as two people do, and confirms nothing: that is for whoever watches.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
import threading
import uuid
from collections import Counter, deque
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import grpc
import httpx
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table

from alerthub.activation import until_in_force
from alerthub.api.v1 import alert_pb2_grpc, registry_pb2_grpc, watchlist_pb2_grpc
from alerthub.api.v1.alert_pb2 import Alert, AlertStatus, WatchAlertsRequest
from alerthub.api.v1.common_pb2 import IDENTIFIER_KIND_PLATE, LocalizedText
from alerthub.api.v1.registry_pb2 import (
    ApplyResourcesRequest,
    CreateEnrolmentCodeRequest,
    IssueDeviceCredentialRequest,
)
from alerthub.api.v1.watchlist_pb2 import AddEntryRequest, ApproveEntryRequest, EntryIdentifier, NewEntry
from alerthub.canary import preparing as canary
from alerthub.canary.set_up import SetUpFolder
from alerthub.cli.context import CALL_SECONDS, signed_in
from alerthub.domain.canary import is_canary
from alerthub.domain.errors import AlertHubError, NotFound
from alerthub.embedded.folder import HubFolder, write_file
from alerthub.simulator.city import Device
from alerthub.simulator.demo_city import CATEGORIES, DemoCity, demo_city
from alerthub.simulator.device import DeviceLogin, gateway_client, send
from alerthub.simulator.fleet import Fleet
from alerthub.simulator.happenings import Happening
from alerthub.simulator.messages import Teller
from alerthub.simulator.plates import random_plate
from alerthub.simulator.scenario import Figures
from alerthub.terminal.enrolment import TerminalIdentity, enrol, load_identity
from alerthub.terminal.headless import Automation, TerminalAddresses, now_ms, run_headless

OBSERVATIONS_A_SECOND = 4.0
ROUND_SECONDS = 600
"""The city's next ten minutes are decided at once, and then the next."""
_HASTE = 30.0
"""How much faster than in reality its vehicles drive: nobody waits minutes for the first alert."""
_CHINA = timezone(timedelta(hours=8))
OFFICER = "officer-1"
OPERATOR = "operator"
TERMINAL = "demo-terminal-1"
_ENTRY_DAYS = 7
_LINES = 12


@dataclass(slots=True)
class Kept:
    """What a second run on the same folder goes on with."""

    secrets: dict[str, str] = field(default_factory=dict)
    """Device to its secret at the gateway."""
    plates: list[str] = field(default_factory=list)
    """Of the listed vehicles."""

    @classmethod
    def read(cls, path: Path) -> Kept:
        """From the file; nothing where there is none."""
        if not path.exists():
            return cls()
        content = json.loads(path.read_text(encoding="utf-8"))
        return cls(dict(content["secrets"]), list(content["plates"]))

    def write(self, path: Path) -> None:
        """For the owner's eyes."""
        content = {"secrets": self.secrets, "plates": self.plates}
        write_file(path, json.dumps(content, ensure_ascii=False), mode=0o600)


@dataclass(slots=True)
class Seen:
    """What the view shows."""

    acknowledged: int = 0
    refused: int = 0
    statuses: dict[str, str] = field(default_factory=dict)
    """Alert id to status."""
    receipts: int = 0
    on_terminal: set[str] = field(default_factory=set)
    link: str = "connecting"
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=_LINES))


def run_demo(folder: HubFolder, stopping: threading.Event) -> None:
    """Runs the demo on a hub that is ready, until `stopping`. Can be run again on the same folder."""
    asyncio.run(_until(Demo(folder).run(), stopping))


async def _until(work: Coroutine[Any, Any, None], stopping: threading.Event) -> None:
    task = asyncio.create_task(work)
    while not stopping.is_set() and not task.done():  # noqa: ASYNC110 - the event is another thread's
        await asyncio.sleep(0.1)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


class Demo:
    """One run of the demo."""

    def __init__(self, folder: HubFolder) -> None:
        self._folder = folder
        self._console = Console(highlight=False, soft_wrap=True)
        self._kept_file = folder.root / "demo.json"
        self._seen = Seen()

    async def run(self) -> None:
        """Prepares, then sends and shows until cancelled."""
        city = demo_city(officer=OFFICER, now_ms=now_ms())
        kept = Kept.read(self._kept_file)
        self._say("Demo: applying the city (devices, zones, rules, units, shifts)")
        await self._apply(city, kept.secrets)
        kept.write(self._kept_file)
        if not kept.plates:
            self._say("Demo: an editor lists two vehicles, an approver approves them")
            kept.plates = await self._list_vehicles()
            kept.write(self._kept_file)
        await self._canary()
        self._say("Demo: enrolling a patrol terminal and signing its officer on")
        identity = await self._terminal(city)
        self._how_to_look()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._send(city, kept))
            tasks.create_task(self._patrol(identity))
            tasks.create_task(self._watch())
            tasks.create_task(self._show())

    # Preparation: what people do.

    async def _apply(self, city: DemoCity, secrets: dict[str, str]) -> None:
        """Applies the city, and adds the secrets of devices that have none yet."""
        async with signed_in(self._folder.root, "administrator-one", "registry") as channel:
            registry = registry_pb2_grpc.RegistryServiceStub(channel)
            request = ApplyResourcesRequest(command_id=str(uuid.uuid4()), resources=city.resources)
            applied = await registry.ApplyResources(request, timeout=CALL_SECONDS)
            for device in (*city.cameras, *city.parking_sensors):
                if device not in secrets:
                    issued = await registry.IssueDeviceCredential(
                        IssueDeviceCredentialRequest(device_id=device), timeout=CALL_SECONDS
                    )
                    secrets[device] = str(issued.secret)
        await until_in_force(applied.active_from_ms)

    async def _list_vehicles(self) -> list[str]:
        chance = random.SystemRandom()
        plates = []
        for category in CATEGORIES:
            plates.append(random_plate(chance))
            async with signed_in(self._folder.root, "editor", "watchlist") as channel:
                stub = watchlist_pb2_grpc.WatchlistServiceStub(channel)
                added = await stub.AddEntry(_entry(category, plates[-1]), timeout=CALL_SECONDS)
            async with signed_in(self._folder.root, "approver", "watchlist") as channel:
                stub = watchlist_pb2_grpc.WatchlistServiceStub(channel)
                request = ApproveEntryRequest(command_id=str(uuid.uuid4()), entry_id=added.entry_id)
                await stub.ApproveEntry(request, timeout=CALL_SECONDS)
        return plates

    async def _canary(self) -> None:
        """The hub's own reads, set up by two persons at the registry and two at the watchlist."""
        folder = SetUpFolder(self._folder.canary)
        if not folder.missing():
            return
        self._say("Demo: two administrators, an editor and an approver set up the canary")
        address = str(self._folder.read_hub()["addresses"]["registry_person"])
        root = self._folder.root
        async with signed_in(root, "administrator-one", "registry") as channel:
            await canary.propose(channel, folder, registry_address=address, ca_file=self._folder.ca_file)
        async with signed_in(root, "administrator-two", "registry") as channel:
            await canary.approve(channel, folder)
        async with signed_in(root, "editor", "watchlist") as channel:
            await canary.list_plates(channel, folder, gateways=1, every_seconds=30.0)
        async with signed_in(root, "approver", "watchlist") as channel:
            await canary.approve_plates(channel, folder)

    async def _terminal(self, city: DemoCity) -> TerminalIdentity:
        folder = self._folder.root / "demo-terminal"
        with contextlib.suppress(NotFound):
            return load_identity(folder)
        async with signed_in(self._folder.root, "administrator-one", "registry") as channel:
            registry = registry_pb2_grpc.RegistryServiceStub(channel)
            request = CreateEnrolmentCodeRequest(terminal_id=TERMINAL, unit_id=city.units[0])
            created = await registry.CreateEnrolmentCode(request, timeout=CALL_SECONDS)
        addresses = self._folder.read_hub()["addresses"]
        return await enrol(
            code=created.code,
            registry_address=addresses["registry_person"],
            ca_file=self._folder.ca_file,
            folder=folder,
        )

    # The run: devices, the patrol, the office.

    async def _send(self, city: DemoCity, kept: Kept) -> None:
        async with gateway_client(self._folder.read_hub()["gateway_url"], self._folder.ca_file) as client:
            while True:
                await self._send_round(client, city, kept)

    async def _send_round(self, client: httpx.AsyncClient, city: DemoCity, kept: Kept) -> None:
        begins_ms = now_ms()
        teller = Teller(f"{begins_ms:x}", begins_ms)

        async def tell(device: Device, happening: Happening) -> None:
            login = DeviceLogin(device.device_id, kept.secrets[device.device_id])
            try:
                await send(client, login, device.make.value, teller.payload(happening, device))
            except AlertHubError as error:
                self._seen.refused += 1
                self._note(f"the gateway did not take an event: {error}")
                raise
            self._seen.acknowledged += 1

        local = datetime.fromtimestamp(begins_ms / 1000, _CHINA)
        figures = Figures(
            seed=begins_ms,
            scale=1,
            rate=OBSERVATIONS_A_SECOND,
            duration_seconds=ROUND_SECONDS,
            speed=_HASTE,
            begin_minute=local.hour * 60 + local.minute,
        )
        fleet = Fleet(city.scenario(figures, listed_plates=kept.plates), tell)
        fleet.begin()
        await fleet.run(asyncio.Event())

    async def _patrol(self, identity: TerminalIdentity) -> None:
        addresses = self._folder.read_hub()["addresses"]
        accounts = json.loads(self._folder.accounts_file.read_text(encoding="utf-8"))["accounts"]
        password = next(str(each["password"]) for each in accounts if each["account"] == OFFICER)
        await run_headless(
            identity,
            TerminalAddresses(registry=addresses["registry_person"], push=addresses["push"]),
            account=OFFICER,
            password=password,
            automation=Automation(accepts=True),
            write=self._on_terminal_event,
        )

    def _on_terminal_event(self, line: str) -> None:
        event = json.loads(line)
        match event["event"]:
            case "alert_shown":
                self._seen.on_terminal.add(event["alert_id"])
                self._note(f"terminal: {event['text']['en']} ({event['severity']})")
            case "alert_removed":
                self._seen.on_terminal.discard(event["alert_id"])
                self._note(f"terminal: an alert left the screen: {event['removal']} {event['explanation']}")
            case "command_answered" if event["command"] == "receipt":
                self._seen.receipts += 1
            case "command_answered":
                self._note(f"terminal: {event['command']} {event['result']}")
            case link if link in ("confirmed", "unconfirmed", "disconnected", "signed_off", "refused"):
                self._seen.link = link

    async def _watch(self) -> None:
        while True:
            with contextlib.suppress(AlertHubError, grpc.RpcError):
                async with signed_in(self._folder.root, OPERATOR, "dispatch") as channel:
                    stub = alert_pb2_grpc.DispatchServiceStub(channel)
                    # A token lives five minutes; the watch begins anew before.
                    async for response in stub.WatchAlerts(WatchAlertsRequest(), timeout=240):
                        if response.HasField("event"):
                            self._on_alert(response.event.alert)
            await asyncio.sleep(1.0)

    def _on_alert(self, alert: Alert) -> None:
        if is_canary(alert.category):
            return
        status = AlertStatus.Name(alert.status).removeprefix("ALERT_STATUS_").lower().replace("_", " ")
        if self._seen.statuses.get(alert.alert_id) != status:
            self._seen.statuses[alert.alert_id] = status
            self._note(f"office: alert {alert.alert_id[:8]} is {status}")

    # The view.

    async def _show(self) -> None:
        if not self._console.is_terminal:
            while True:
                await asyncio.sleep(5.0)
                self._say(self._summary())
        with Live(self._view(), console=self._console, refresh_per_second=2, transient=True) as live:
            while True:
                await asyncio.sleep(0.5)
                live.update(self._view())

    def _summary(self) -> str:
        seen = self._seen
        counts = Counter(seen.statuses.values())
        waiting = counts.get("awaiting confirmation", 0)
        return (
            f"Demo: {seen.acknowledged} observations acknowledged, {waiting} alerts awaiting confirmation,"
            f" {len(seen.on_terminal)} on the terminal ({seen.link}), {seen.receipts} receipts"
        )

    def _view(self) -> Group:
        seen = self._seen
        counts = Counter(seen.statuses.values())
        table = Table.grid(padding=(0, 2))
        table.add_row("observations acknowledged", str(seen.acknowledged))
        table.add_row("not taken", str(seen.refused))
        table.add_row("alerts awaiting confirmation", str(counts.pop("awaiting confirmation", 0)))
        for status, count in sorted(counts.items()):
            table.add_row(f"alerts {status}", str(count))
        table.add_row("on the patrol terminal", f"{len(seen.on_terminal)}  ({seen.link})")
        table.add_row("receipts", str(seen.receipts))
        return Group(
            Panel(table, title="Demo city", expand=False),
            Panel("\n".join(seen.lines) or "waiting for the first listed vehicle", title="What happens"),
        )

    def _note(self, line: str) -> None:
        self._seen.lines.append(line)
        if not self._console.is_terminal:
            self._say(f"  {line}")

    def _how_to_look(self) -> None:
        data = _shown(self._folder.root)
        command = f"{_shown(Path(sys.executable).with_name('alerthub'))}"
        terminal = "--account officer-2 --folder /tmp/my-terminal"
        lines = (
            "The city sends a few observations a second. One listed vehicle goes to the patrol at once;",
            "the other belongs to a wanted person and waits until you confirm it. In another terminal:",
            "",
            f"  {command} alerts list --account operator --data {data}",
            f"  {command} alerts confirm ALERT --account operator --data {data}",
            f"  {command} alerts watch --account operator --data {data}",
            f"  {command} watchlist list --account editor --data {data}",
            f"  {command} doctor --data {data}",
            "",
            "A terminal of your own, with a screen:",
            f"  {command} terminal code my-terminal --unit demo-patrol-2 --account supervisor --data {data}",
            f"  {command} terminal enrol CODE --folder /tmp/my-terminal --data {data}",
            f"  {command} terminal run {terminal} --language en --data {data}",
            "",
            f"Passwords are in {data}/accounts.json. Ctrl-C stops everything.",
        )
        # Not in a box: a command that is cut off at the edge cannot be copied.
        self._console.rule("How to look closer", align="left")
        for line in lines:
            self._console.print(line, markup=False)
        self._console.rule()

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False)


def _shown(path: Path) -> str:
    """The path as short as it can be typed here."""
    with contextlib.suppress(ValueError):
        return str(path.absolute().relative_to(Path.cwd()))
    return str(path)


def _entry(category: str, plate: str) -> AddEntryRequest:
    return AddEntryRequest(
        command_id=str(uuid.uuid4()),
        entry=NewEntry(
            category=category,
            identifiers=[EntryIdentifier(kind=IDENTIFIER_KIND_PLATE, text=plate, masks=["exact"])],
            case_number="DEMO-2026-001",
            legal_basis="demonstration",
            issuing_authority="demonstration desk",
            authority_contact="110",
            instruction=LocalizedText(
                chinese="演示：核对车辆，不得拦截", english="Demonstration: compare, stop nobody"
            ),
            valid_until_ms=now_ms() + _ENTRY_DAYS * 24 * 3_600_000,
        ),
    )
