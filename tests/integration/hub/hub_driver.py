"""A whole hub for tests: Kafka, PostgreSQL, services, a terminal; driven as people and devices drive it."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import signal
import threading
import uuid
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from alerthub.api.v1 import alert_pb2_grpc, registry_pb2_grpc, watchlist_pb2_grpc
from alerthub.api.v1.alert_pb2 import Alert, ConfirmAlertRequest, ListAlertsRequest
from alerthub.api.v1.common_pb2 import (
    AUTHENTICATION_CLASS_PASSWORD_OVER_TLS,
    AUTHENTICATION_CLASS_URL_TOKEN,
    DISPATCH_POLICY_SEND_AT_ONCE,
    IDENTIFIER_KIND_PLATE,
    SEVERITY_MAJOR,
    AuthenticationClass,
    LocalizedText,
    Position,
)
from alerthub.api.v1.registry_pb2 import (
    RULE_KIND_WATCHLIST_HIT,
    ApplyResourcesRequest,
    CheckAuthorisation,
    CreateEnrolmentCodeRequest,
    Device,
    IssueDeviceCredentialRequest,
    Jurisdiction,
    Resource,
    Rule,
    Shift,
    Unit,
    WatchlistHitParameters,
)
from alerthub.api.v1.watchlist_pb2 import (
    AddEntryRequest,
    ApproveEntryRequest,
    EntryIdentifier,
    NewEntry,
    WithdrawEntryRequest,
)
from alerthub.cli.context import signed_in
from alerthub.domain.errors import Retry
from alerthub.selftest.hub import ChildHub, HubFacts, not_ready
from alerthub.selftest.officer import Officer
from alerthub.selftest.persons import account_with, bootstrap_accounts, called
from alerthub.simulator.device import DeviceLogin, gateway_client, send
from alerthub.simulator.jpeg import street
from alerthub.simulator.shapes import Payload, PlateRead, hikvision_anpr, new_event_id
from alerthub.terminal.events import ScreenChanged, TerminalEvent
from alerthub.terminal.headless import now_ms

Result = TypeVar("Result")
PLACE = Position(latitude=39.5186, longitude=116.7036)
CITY = "city"
CATEGORIES = ["stolen_vehicle", "wanted_person_vehicle"]
CAMERA, TOKEN_CAMERA, UNAUTHORISED_CAMERA = "camera", "token-camera", "unauthorised-camera"
UNIT, TERMINAL = "unit-1", "terminal-1"
PATIENCE_SECONDS = 60.0
ROLE = {
    "editor": "ROLE_WATCHLIST_EDITOR",
    "approver": "ROLE_WATCHLIST_APPROVER",
    "operator": "ROLE_OPERATOR",
    "registrar": "ROLE_REGISTRY_EDITOR",
    "officer": "ROLE_OFFICER",
    "auditor": "ROLE_AUDITOR",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """What a terminal showed: the alert, and the plate that was opened for the officer, if it was."""

    alert_id: str
    entry_id: str
    plate: str
    version: int


class Hub:
    """Every call blocks until its effect is there, or `PATIENCE_SECONDS` have passed."""

    def __init__(self, folder: Path, *, tell: Callable[[str], None]) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="hub-driver", daemon=True)
        self._child = ChildHub(folder / "hub", tell=tell)
        self._folder = folder
        self._logins: dict[str, DeviceLogin] = {}
        self.officer = Officer()
        self.sent_plates: list[str] = []

    # Life.

    def start(self) -> None:
        self._thread.start()
        self._call(self._start(), timeout=180)

    def stop(self) -> None:
        self._call(self._stop(), timeout=90)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    @property
    def facts(self) -> HubFacts:
        return HubFacts.read(self._child.folder)

    @property
    def folder(self) -> Path:
        return self._child.folder.root

    def pid_of(self, part: str) -> int:
        """The process id of a service, of kafka or of postgres."""
        hub = self._child.folder.read_hub()
        if part in ("kafka", "postgres"):
            return int(hub[part]["pid"])
        return next(int(each["pid"]) for each in hub["services"] if each["service"] == part)

    def kill(self, part: str) -> int:
        """kill -9; the supervisor brings it back. Gives the process id that died."""
        pid = self.pid_of(part)
        os.kill(pid, signal.SIGKILL)
        return pid

    def wait_until_replaced(self, part: str, pid: int) -> None:
        """Until another process has taken the place of `pid`, and every service can do its job."""
        self._call(self._replaced(part, pid))

    # People.

    def add_entry(
        self,
        plate: str,
        *,
        category: str = "stolen_vehicle",
        valid_until_ms: int = 0,
        masks: Iterable[str] = ("exact",),
    ) -> str:
        return self._call(self._add_entry(plate, category, valid_until_ms or _in_an_hour(), list(masks)))

    def approve(self, entry_id: str) -> None:
        """As another person; returns when the entry is in force."""
        self._call(self._approve([entry_id]))

    def list_plates(self, plates: list[str], *, category: str = "stolen_vehicle") -> dict[str, str]:
        """Entries in force for all of them: plate to entry id."""
        return self._call(self._list_plates(plates, category), timeout=120)

    def withdraw(self, entry_id: str) -> None:
        self._call(self._withdraw(entry_id))

    def confirm(self, alert: Alert) -> None:
        self._call(self._confirm(alert))

    def alerts(self) -> list[Alert]:
        return self._call(self._alerts())

    def alert_of(self, entry_id: str, wanted: Callable[[Alert], bool] = lambda _: True) -> Alert:
        """The entry's alert, once there is one that is wanted."""
        return self._call(self._alert_of(entry_id, wanted))

    # Devices and terminal.

    def read(self, plate: str, *, camera: str = CAMERA) -> None:
        """A camera reads the plate and sends it; returns when the gateway has acknowledged it."""
        self._call(self._read(plate, camera), timeout=90)

    def read_in_background(self, plates: list[str]) -> Future[None]:
        """One after the other, each retried as a device does until it is acknowledged."""
        return asyncio.run_coroutine_threadsafe(self._read_all(plates), self._loop)

    def wait_until_shown(self, entry_ids: Iterable[str], *, timeout: float = PATIENCE_SECONDS) -> None:
        self._call(self._until_shown(set(entry_ids)), timeout=timeout)

    def wait_until_removed(self, alert_id: str) -> None:
        self._call(self.officer.shows(alert_id, lambda change: change.removal is not None))

    def shown(self) -> list[Shown]:
        """Every first appearance of an alert on the terminal's screen, in order."""
        return [
            Shown(
                event.change.alert_id,
                event.change.push.alert.entry_id,
                event.change.push.details.identifier,
                event.change.push.alert.version,
            )
            for event in self.events()
            if isinstance(event, ScreenChanged) and event.change.kind.value == "alert_shown"
        ]

    def events(self) -> list[TerminalEvent]:
        return [event for _, event in list(self.officer.told)]

    # Within the driver's loop.

    def _call(self, work: Coroutine[Any, Any, Result], *, timeout: float = PATIENCE_SECONDS) -> Result:
        async def bounded() -> Result:
            async with asyncio.timeout(timeout):
                return await work

        return asyncio.run_coroutine_threadsafe(bounded(), self._loop).result()

    def _as(self, role: str, audience: str) -> Any:
        accounts = bootstrap_accounts(self.facts.folder.accounts_file)
        account = account_with(accounts, ROLE[role])
        return signed_in(self.folder, account.name, audience)

    async def _start(self) -> None:
        facts = await self._child.start()
        accounts = bootstrap_accounts(facts.folder.accounts_file)
        officer = account_with(accounts, ROLE["officer"])
        async with self._as("registrar", "registry") as channel:
            registry = registry_pb2_grpc.RegistryServiceStub(channel)
            applied = await called(
                registry.ApplyResources(
                    ApplyResourcesRequest(command_id=str(uuid.uuid4()), resources=_city(officer.name)),
                    timeout=15,
                )
            )
            for camera in (CAMERA, TOKEN_CAMERA, UNAUTHORISED_CAMERA):
                request = IssueDeviceCredentialRequest(device_id=camera)
                secret = (await called(registry.IssueDeviceCredential(request, timeout=15))).secret
                self._logins[camera] = DeviceLogin(camera, secret)
            code = await called(
                registry.CreateEnrolmentCode(
                    CreateEnrolmentCodeRequest(terminal_id=TERMINAL, unit_id=UNIT), timeout=15
                )
            )
        await _until(applied.active_from_ms)
        await self.officer.start(
            code=code.code,
            addresses=facts.terminals,
            ca_file=facts.folder.ca_file,
            folder=self._folder / TERMINAL,
            account=officer.name,
            password=officer.password,
        )
        await self.officer.confirmed()

    async def _stop(self) -> None:
        await self.officer.stop()
        await self._child.stop()

    async def _replaced(self, part: str, pid: int) -> None:
        async def whole() -> bool:
            services = ("registry", "watchlist", "dispatch", "push", "correlator", "gateway")
            if self.pid_of(part) in (0, pid):
                return False
            return not any([await not_ready(self.facts.folder, service) for service in services])

        await _polled(whole)

    async def _add_entry(self, plate: str, category: str, valid_until_ms: int, masks: list[str]) -> str:
        async with self._as("editor", "watchlist") as channel:
            stub = watchlist_pb2_grpc.WatchlistServiceStub(channel)
            added = await called(stub.AddEntry(_entry(plate, category, valid_until_ms, masks), timeout=15))
        return str(added.entry_id)

    async def _approve(self, entry_ids: list[str]) -> None:
        active_from_ms = 0
        async with self._as("approver", "watchlist") as channel:
            stub = watchlist_pb2_grpc.WatchlistServiceStub(channel)
            for entry_id in entry_ids:
                request = ApproveEntryRequest(command_id=str(uuid.uuid4()), entry_id=entry_id)
                active_from_ms = (await called(stub.ApproveEntry(request, timeout=15))).active_from_ms
        await _until(active_from_ms)

    async def _list_plates(self, plates: list[str], category: str) -> dict[str, str]:
        async with self._as("editor", "watchlist") as channel:
            stub = watchlist_pb2_grpc.WatchlistServiceStub(channel)
            entries = {
                plate: (
                    await called(stub.AddEntry(_entry(plate, category, _in_an_hour(), ["exact"]), timeout=15))
                ).entry_id
                for plate in plates
            }
        await self._approve(list(entries.values()))
        return entries

    async def _withdraw(self, entry_id: str) -> None:
        async with self._as("editor", "watchlist") as channel:
            request = WithdrawEntryRequest(
                command_id=str(uuid.uuid4()), entry_id=entry_id, reason="found by its owner"
            )
            await called(watchlist_pb2_grpc.WatchlistServiceStub(channel).WithdrawEntry(request, timeout=15))

    async def _confirm(self, alert: Alert) -> None:
        async with self._as("operator", "dispatch") as channel:
            request = ConfirmAlertRequest(
                command_id=str(uuid.uuid4()), alert_id=alert.alert_id, alert_version=alert.version
            )
            await called(alert_pb2_grpc.DispatchServiceStub(channel).ConfirmAlert(request, timeout=15))

    async def _alerts(self) -> list[Alert]:
        async with self._as("operator", "dispatch") as channel:
            stub = alert_pb2_grpc.DispatchServiceStub(channel)
            return list((await called(stub.ListAlerts(ListAlertsRequest(page_size=500), timeout=15))).alerts)

    async def _alert_of(self, entry_id: str, wanted: Callable[[Alert], bool]) -> Alert:
        async with self._as("operator", "dispatch") as channel:
            stub = alert_pb2_grpc.DispatchServiceStub(channel)
            while True:
                listed = await called(stub.ListAlerts(ListAlertsRequest(page_size=500), timeout=15))
                for alert in listed.alerts:
                    if alert.entry_id == entry_id and wanted(alert):
                        return alert
                await asyncio.sleep(0.05)

    async def _read(self, plate: str, camera: str) -> None:
        self.sent_plates.append(plate)
        event_id = new_event_id()
        picture = street(random.Random(event_id))  # noqa: S311
        payload = hikvision_anpr(PlateRead(plate=plate, time_ms=now_ms(), event_id=event_id), picture)
        async with gateway_client(self.facts.gateway_url, self.facts.folder.ca_file) as client:
            if camera == TOKEN_CAMERA:
                await self._send_by_url_token(client, payload)
            else:
                await self._send_until_taken(client, self._logins[camera], payload)

    @staticmethod
    async def _send_until_taken(client: Any, login: DeviceLogin, payload: Payload) -> None:
        """The same event again and again, as a camera with a memory does while the hub is away."""
        while True:
            try:
                return await send(client, login, "hikvision-anpr", payload)
            except Retry:
                continue

    async def _send_by_url_token(self, client: Any, payload: Payload) -> None:
        login = self._logins[TOKEN_CAMERA]
        response = await client.post(
            f"/v1/ingest/hikvision-anpr/token/{login.device_id}/{login.secret}",
            content=payload.body,
            headers={"content-type": payload.content_type},
        )
        assert response.status_code == 200, response.text

    async def _read_all(self, plates: list[str]) -> None:
        for plate in plates:
            await self._read(plate, CAMERA)

    async def _until_shown(self, entry_ids: set[str]) -> None:
        async def all_there() -> bool:
            return entry_ids <= {each.entry_id for each in self.shown()}

        await _polled(all_there)


def random_plates(count: int) -> list[str]:
    """Different plates of Hebei, none that another test has."""
    letters = "ABCDEFGHJKLMNPQRSTUVWXYZ0123456789"
    chosen: set[str] = set()
    while len(chosen) < count:
        chosen.add("冀R" + "".join(secrets.choice(letters) for _ in range(4)) + "7")
    return sorted(chosen)


async def _polled(condition: Callable[[], Coroutine[Any, Any, bool]]) -> None:
    """Until the condition, which lies in other processes, holds."""
    while True:
        if await condition():
            return
        await asyncio.sleep(0.05)


async def _until(time_ms: int) -> None:
    """Until the hub's clock, which is ours, has reached a version's activation."""
    await asyncio.sleep(max(0.0, (time_ms - now_ms()) / 1000))


def _in_an_hour() -> int:
    return now_ms() + 3_600_000


def _entry(plate: str, category: str, valid_until_ms: int, masks: list[str]) -> AddEntryRequest:
    return AddEntryRequest(
        command_id=str(uuid.uuid4()),
        entry=NewEntry(
            category=category,
            identifiers=[EntryIdentifier(kind=IDENTIFIER_KIND_PLATE, text=plate, masks=masks)],
            case_number="TEST-1",
            legal_basis="a test",
            issuing_authority="test desk",
            authority_contact="110",
            instruction=LocalizedText(chinese="测试", english="test"),
            valid_until_ms=valid_until_ms,
        ),
    )


def _camera(device_id: str, authentication_class: AuthenticationClass.ValueType) -> Resource:
    return Resource(
        device=Device(
            device_id=device_id,
            name=device_id,
            adapter="hikvision-anpr",
            position=PLACE,
            district="district-1",
            jurisdiction=CITY,
            authentication_class=authentication_class,
        )
    )


def _city(officer: str) -> list[Resource]:
    from_ms, until_ms = now_ms() - 3_600_000, now_ms() + 22 * 3_600_000
    return [
        Resource(
            jurisdiction=Jurisdiction(jurisdiction_id=CITY, name=LocalizedText(chinese="市", english="City"))
        ),
        _camera(CAMERA, AUTHENTICATION_CLASS_PASSWORD_OVER_TLS),
        _camera(UNAUTHORISED_CAMERA, AUTHENTICATION_CLASS_PASSWORD_OVER_TLS),
        _camera(TOKEN_CAMERA, AUTHENTICATION_CLASS_URL_TOKEN),
        Resource(
            authorisation=CheckAuthorisation(
                authorisation_id="authorisation-1",
                device_ids=[CAMERA, TOKEN_CAMERA],
                legal_basis="a test",
                purpose="a test",
                categories=CATEGORIES,
                valid_from_ms=from_ms,
                valid_until_ms=until_ms,
            )
        ),
        Resource(
            rule=Rule(
                rule_id="listed-vehicle",
                name=LocalizedText(chinese="布控车辆", english="Listed vehicle"),
                kind=RULE_KIND_WATCHLIST_HIT,
                severity=SEVERITY_MAJOR,
                unit_kind="patrol",
                policy=DISPATCH_POLICY_SEND_AT_ONCE,
                officer_text=LocalizedText(chinese="发现布控车辆", english="Listed vehicle seen"),
                watchlist_hit=WatchlistHitParameters(masks=["exact"]),
            )
        ),
        Resource(
            unit=Unit(
                unit_id=UNIT,
                name=LocalizedText(chinese="一组", english="Unit one"),
                unit_kind="patrol",
                jurisdiction=CITY,
                station=PLACE,
            )
        ),
        Resource(
            shift=Shift(
                shift_id="shift-1", unit_id=UNIT, from_ms=from_ms, until_ms=until_ms, officers=[officer]
            )
        ),
    ]
