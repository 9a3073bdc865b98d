"""What people, cameras and a patrol do with a whole hub: the words of the stories."""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from running_hub import RunningHub

from alerthub.activation import until_in_force
from alerthub.api.v1 import alert_pb2_grpc, registry_pb2_grpc, watchlist_pb2_grpc
from alerthub.api.v1.alert_pb2 import (
    ALERT_STATUS_AWAITING_CONFIRMATION,
    Alert,
    AlertStatus,
    ConfirmAlertRequest,
    ListAlertsRequest,
)
from alerthub.api.v1.common_pb2 import (
    AUTHENTICATION_CLASS_PASSWORD_OVER_TLS,
    AUTHENTICATION_CLASS_URL_TOKEN,
    DISPATCH_POLICY_SEND_AT_ONCE,
    IDENTIFIER_KIND_PLATE,
    SEVERITY_MAJOR,
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
    RevokeRequest,
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
from alerthub.selftest.officer import Officer
from alerthub.selftest.persons import Account, People, account_with, bootstrap_accounts, called
from alerthub.simulator.device import gateway_client
from alerthub.simulator.jpeg import street
from alerthub.simulator.shapes import PlateRead, hikvision_anpr, new_event_id
from alerthub.terminal.events import ScreenChanged, TerminalEvent
from alerthub.terminal.headless import now_ms
from alerthub.terminal.screen_state import ChangeKind, ScreenChange

PERSON, VEHICLE = "wanted_person_vehicle", "stolen_vehicle"
CAMERA, UNAUTHORISED, BY_URL = "story-camera", "story-camera-unauthorised", "story-camera-by-url"
UNIT, TERMINAL = "story-unit", "story-terminal"
_CALL_SECONDS = 15.0
_SOON_SECONDS = 60.0
_TOKEN_SECONDS = 120.0
"""Of the five minutes that a token lives: the rest is for the story."""


class Town:
    """People, cameras and the office of one story."""

    def __init__(self, hub: RunningHub, people: People, accounts: list[Account]) -> None:
        self.hub = hub
        self._people = people
        self.administrator = account_with(accounts, "ROLE_REGISTRY_EDITOR")
        self.editor = account_with(accounts, "ROLE_WATCHLIST_EDITOR")
        self.approver = account_with(accounts, "ROLE_WATCHLIST_APPROVER")
        self.operator = account_with(accounts, "ROLE_OPERATOR")
        self.officer_account = account_with(accounts, "ROLE_OFFICER")

    @property
    def registry(self) -> registry_pb2_grpc.RegistryServiceAsyncStub:
        return registry_pb2_grpc.RegistryServiceStub(self._people.channel(self.administrator, "registry"))

    def watchlist(self, account: Account) -> watchlist_pb2_grpc.WatchlistServiceAsyncStub:
        return watchlist_pb2_grpc.WatchlistServiceStub(self._people.channel(account, "watchlist"))

    @property
    def dispatch(self) -> alert_pb2_grpc.DispatchServiceAsyncStub:
        return alert_pb2_grpc.DispatchServiceStub(self._people.channel(self.operator, "dispatch"))

    async def apply(self) -> None:
        """Registers the town, once a hub."""
        if self.hub.secrets:
            return
        request = ApplyResourcesRequest(
            command_id=str(uuid.uuid4()), resources=_resources(self.officer_account.name)
        )
        applied = await called(self.registry.ApplyResources(request, timeout=_CALL_SECONDS))
        for camera in (CAMERA, UNAUTHORISED, BY_URL):
            issued = await called(
                self.registry.IssueDeviceCredential(
                    IssueDeviceCredentialRequest(device_id=camera), timeout=_CALL_SECONDS
                )
            )
            self.hub.secrets[camera] = issued.secret
        await until_in_force(applied.active_from_ms)
        # A secret is in force once the gateway has it: the first read that it takes says so.
        for camera in (CAMERA, UNAUTHORISED, BY_URL):
            await self.read(self.new_plate(), camera)

    def new_plate(self) -> str:
        """A plate that nobody has."""
        plate = "冀R" + "".join(secrets.choice("ACEFGHJKLMNPRTUVWXY34679") for _ in range(5))
        self.hub.plates.append(plate)
        return plate

    async def list_plate(
        self, category: str, *, approved: bool = True, life_ms: int = 600_000
    ) -> tuple[str, str]:
        """Lists a new plate as one person and approves it as another; gives the plate and the entry's id."""
        plate = self.new_plate()
        entry = NewEntry(
            category=category,
            identifiers=[EntryIdentifier(kind=IDENTIFIER_KIND_PLATE, text=plate, masks=["exact"])],
            case_number="STORY-1",
            legal_basis="story",
            issuing_authority="story desk",
            authority_contact="110",
            instruction=LocalizedText(chinese="测试", english="story"),
            valid_until_ms=now_ms() + life_ms,
        )
        request = AddEntryRequest(command_id=str(uuid.uuid4()), entry=entry)
        added = await called(self.watchlist(self.editor).AddEntry(request, timeout=_CALL_SECONDS))
        if approved:
            approval = ApproveEntryRequest(command_id=str(uuid.uuid4()), entry_id=added.entry_id)
            answer = await called(self.watchlist(self.approver).ApproveEntry(approval, timeout=_CALL_SECONDS))
            await until_in_force(answer.active_from_ms)
        return plate, added.entry_id

    async def withdraw(self, entry_id: str) -> None:
        request = WithdrawEntryRequest(command_id=str(uuid.uuid4()), entry_id=entry_id, reason="story")
        await called(self.watchlist(self.editor).WithdrawEntry(request, timeout=_CALL_SECONDS))

    async def read(self, plate: str, camera: str = CAMERA) -> None:
        """The camera reads the plate, and sends until the gateway has acknowledged it."""
        event_id = new_event_id()
        async with asyncio.timeout(_SOON_SECONDS):
            while await self.post(plate, camera, event_id=event_id) != 200:  # noqa: ASYNC110 - a device
                await asyncio.sleep(0.2)

    async def post(self, plate: str, camera: str = CAMERA, *, event_id: str = "") -> int:
        """One try; the gateway's answer, 0 for none."""
        read = PlateRead(plate=plate, time_ms=now_ms(), event_id=event_id or new_event_id())
        payload = hikvision_anpr(read, street(random.Random(read.event_id)))  # noqa: S311
        path, login = "/v1/ingest/hikvision-anpr", (camera, self.hub.secrets[camera])
        if camera == BY_URL:
            path = f"{path}/token/{camera}/{self.hub.secrets[camera]}"
        async with gateway_client(self.hub.facts.gateway_url, self.hub.folder.ca_file) as client:
            with contextlib.suppress(OSError):
                try:
                    # The type of `post` knows no call without a credential.
                    response = await client.request(
                        "POST",
                        path,
                        content=payload.body,
                        headers={"content-type": payload.content_type},
                        auth=None if camera == BY_URL else login,
                    )
                except Exception as error:  # noqa: BLE001 - any way of not answering is no answer
                    raise OSError(str(type(error))) from None
                return int(response.status_code)
        return 0

    async def alerts_of(self, entry_id: str) -> list[Alert]:
        """All alerts of the entry, whatever became of them."""
        statuses = [number for number in AlertStatus.values() if number]
        request = ListAlertsRequest(statuses=statuses, page_size=500)
        listed = await called(self.dispatch.ListAlerts(request, timeout=_CALL_SECONDS))
        return [alert for alert in listed.alerts if alert.entry_id == entry_id]

    async def opened(self, entry_id: str) -> Alert:
        """The entry's alert, once there is one."""
        async with asyncio.timeout(_SOON_SECONDS):
            while True:
                for alert in await self.alerts_of(entry_id):
                    return alert
                await asyncio.sleep(0.05)

    async def awaiting(self, entry_id: str) -> Alert:
        """The entry's alert, once it waits for confirmation with its picture."""
        async with asyncio.timeout(_SOON_SECONDS):
            while True:
                for alert in await self.alerts_of(entry_id):
                    if alert.status == ALERT_STATUS_AWAITING_CONFIRMATION and alert.sightings[-1].has_picture:
                        return alert
                await asyncio.sleep(0.05)

    async def confirm(self, alert: Alert) -> None:
        request = ConfirmAlertRequest(
            command_id=str(uuid.uuid4()), alert_id=alert.alert_id, alert_version=alert.version, note="story"
        )
        await called(self.dispatch.ConfirmAlert(request, timeout=_CALL_SECONDS))

    async def revoke_terminal(self) -> None:
        request = RevokeRequest(terminal_id=TERMINAL, reason="story")
        await called(self.registry.Revoke(request, timeout=_CALL_SECONDS))

    @asynccontextmanager
    async def patrol(self, folder: Path) -> AsyncIterator[Patrol]:
        """The unit's terminal, enrolled anew where the folder has none, signed on and caught up."""
        patrol = Patrol()
        code = ""
        if not _enrolled(folder):
            request = CreateEnrolmentCodeRequest(terminal_id=TERMINAL, unit_id=UNIT)
            code = (await called(self.registry.CreateEnrolmentCode(request, timeout=_CALL_SECONDS))).code
        try:
            await patrol.start(
                code=code,
                addresses=self.hub.facts.terminals,
                ca_file=self.hub.folder.ca_file,
                folder=folder,
                account=self.officer_account.name,
                password=self.officer_account.password,
            )
            async with asyncio.timeout(_SOON_SECONDS):
                await patrol.confirmed()
            yield patrol
        finally:
            await patrol.stop()


class Patrol(Officer):
    """An officer's terminal, asked about entries."""

    async def shows_entry(self, entry_id: str) -> ScreenChange:
        """The first change of the entry's alert on the screen."""

        def matches(event: TerminalEvent) -> bool:
            return isinstance(event, ScreenChanged) and event.change.push.alert.entry_id == entry_id

        async with asyncio.timeout(_SOON_SECONDS):
            _, event = await self.until(matches)
        assert isinstance(event, ScreenChanged)
        return event.change

    def times_shown(self, entry_id: str) -> int:
        """How often an alert of the entry came onto the screen."""
        return sum(
            1
            for _, event in self.told
            if isinstance(event, ScreenChanged)
            and event.change.push.alert.entry_id == entry_id
            and event.change.kind is ChangeKind.SHOWN
        )


@asynccontextmanager
async def town_of(hub: RunningHub) -> AsyncIterator[Town]:
    """The town of a running hub, with everybody signed in."""
    accounts = bootstrap_accounts(hub.folder.accounts_file)
    people = People(hub.facts.persons, hub.folder.ca_file)
    town = Town(hub, people, accounts)
    try:
        for account, audience in (
            (town.administrator, "registry"),
            (town.editor, "watchlist"),
            (town.approver, "watchlist"),
            (town.operator, "dispatch"),
        ):
            signed_in_at, token = hub.tokens.get((account.name, audience), (0.0, ""))
            if not token or time.monotonic() - signed_in_at > _TOKEN_SECONDS:
                token = await people.token(account, audience)
                hub.tokens[account.name, audience] = (time.monotonic(), token)
            people.use_token(account, audience, token)
        await town.apply()
        yield town
    finally:
        await people.close()


def _enrolled(folder: Path) -> bool:
    return folder.exists()


def _resources(officer: str) -> list[Resource]:
    place = Position(latitude=39.52, longitude=116.7)
    text = LocalizedText(chinese="故事", english="story")
    hour = now_ms() // 3_600_000 * 3_600_000
    classes = {
        CAMERA: AUTHENTICATION_CLASS_PASSWORD_OVER_TLS,
        UNAUTHORISED: AUTHENTICATION_CLASS_PASSWORD_OVER_TLS,
        BY_URL: AUTHENTICATION_CLASS_URL_TOKEN,
    }
    devices = [
        # One district: one partition, so what was sent first is evaluated first.
        Device(
            device_id=name,
            name=name,
            adapter="hikvision-anpr",
            position=place,
            district="story-district",
            jurisdiction="story",
            authentication_class=authentication_class,
        )
        for name, authentication_class in classes.items()
    ]
    rule = Rule(
        rule_id="story-hit",
        name=text,
        kind=RULE_KIND_WATCHLIST_HIT,
        # Not everywhere: the simulated city on the same hub has rules of its own.
        device_ids=[CAMERA, UNAUTHORISED, BY_URL],
        severity=SEVERITY_MAJOR,
        unit_kind="patrol",
        policy=DISPATCH_POLICY_SEND_AT_ONCE,
        officer_text=text,
        watchlist_hit=WatchlistHitParameters(masks=["exact"]),
    )
    authorisation = CheckAuthorisation(
        authorisation_id="story-authorisation",
        device_ids=[CAMERA, BY_URL],
        legal_basis="story",
        purpose="story",
        categories=[PERSON, VEHICLE],
        valid_from_ms=hour - 3_600_000,
        valid_until_ms=hour + 24 * 3_600_000,
    )
    shift = Shift(
        shift_id="story-shift",
        unit_id=UNIT,
        from_ms=hour - 3_600_000,
        until_ms=hour + 20 * 3_600_000,
        officers=[officer],
    )
    unit = Unit(unit_id=UNIT, name=text, unit_kind="patrol", jurisdiction="story", station=place)
    return [
        Resource(jurisdiction=Jurisdiction(jurisdiction_id="story", name=text)),
        *(Resource(device=device) for device in devices),
        Resource(authorisation=authorisation),
        Resource(rule=rule),
        Resource(unit=unit),
        Resource(shift=shift),
    ]
