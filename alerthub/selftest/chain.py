"""The main job, hop by hop, on a running hub: what a camera, five people and a terminal do."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Callable
from pathlib import Path

from alerthub.api.v1 import alert_pb2_grpc, audit_pb2_grpc, registry_pb2_grpc, watchlist_pb2_grpc
from alerthub.api.v1.alert_pb2 import (
    ALERT_STATUS_AWAITING_CONFIRMATION,
    ALERT_STATUS_CLOSED,
    OUTCOME_FOUND,
    Alert,
    ConfirmAlertRequest,
    GetAlertRequest,
    ListAlertsRequest,
)
from alerthub.api.v1.audit_pb2 import ExportRequest, ListHeadsRequest
from alerthub.api.v1.patrol_pb2 import CommandAnswer
from alerthub.api.v1.registry_pb2 import (
    ApplyResourcesRequest,
    CreateEnrolmentCodeRequest,
    IssueDeviceCredentialRequest,
)
from alerthub.api.v1.watchlist_pb2 import (
    ApproveEntryRequest,
    Category,
    ListCategoriesRequest,
    WithdrawEntryRequest,
)
from alerthub.domain.errors import NotFound, Refuse
from alerthub.selftest import city
from alerthub.selftest.audit_logs import verify_export
from alerthub.selftest.hops import HopFailedError, Stopwatch
from alerthub.selftest.hub import HubFacts, not_ready
from alerthub.selftest.officer import Officer
from alerthub.selftest.persons import Account, People, account_with, bootstrap_accounts, called
from alerthub.simulator.device import DeviceLogin, gateway_client, send
from alerthub.simulator.jpeg import street
from alerthub.simulator.shapes import PlateRead, hikvision_anpr, new_event_id
from alerthub.terminal.headless import now_ms
from alerthub.terminal.screen_state import RemovalReason, awaits_answer

AUDITED = ("registry", "watchlist", "dispatch")
_DEADLINE_SECONDS = 15


class MainJob:
    """One run. Hops are recorded in `watch` as they happen; the first that does not is `HopFailedError`."""

    def __init__(self, hub: HubFacts, watch: Stopwatch, folder: Path) -> None:
        self._hub = hub
        self._watch = watch
        self._folder = folder
        self._ca_file = hub.folder.ca_file
        accounts = bootstrap_accounts(hub.folder.accounts_file)
        self._registrar = account_with(accounts, "ROLE_REGISTRY_EDITOR")
        self._editor = account_with(accounts, "ROLE_WATCHLIST_EDITOR")
        self._approver = account_with(accounts, "ROLE_WATCHLIST_APPROVER", other_than=self._editor.name)
        self._operator = account_with(accounts, "ROLE_OPERATOR")
        self._auditor = account_with(accounts, "ROLE_AUDITOR")
        self._officer_account = account_with(accounts, "ROLE_OFFICER")
        self._people = People(hub.persons, self._ca_file)
        self._officer = Officer()
        self._camera = DeviceLogin("", "")

    async def run(self, before_camera: Callable[[], None]) -> None:
        """All hops. `before_camera` runs once people and terminal are in place, before the first read."""
        try:
            await self._prepare()
            before_camera()
            await self._alert_to_outcome()
            await self._withdrawal_to_cancellation()
            await self._verify_audit()
        finally:
            await self._officer.stop()
            await self._people.close()

    # Preparation.

    async def _prepare(self) -> None:
        async with self._watch.hop("sign people in", at_most_seconds=30):
            for account, audience in (
                (self._registrar, "registry"),
                (self._editor, "watchlist"),
                (self._approver, "watchlist"),
                (self._operator, "dispatch"),
                *((self._auditor, service) for service in AUDITED),
            ):
                await self._people.sign_in(account, audience)
        async with self._watch.hop("apply the city", at_most_seconds=30):
            await self._apply_city()
        async with self._watch.hop("enrol the terminal and sign on", at_most_seconds=30):
            code = await self._enrolment_code()
            await self._officer.start(
                code=code,
                addresses=self._hub.terminals,
                ca_file=self._ca_file,
                folder=self._folder / "terminal",
                account=self._officer_account.name,
                password=self._officer_account.password,
            )
            await self._officer.confirmed()

    async def _apply_city(self) -> None:
        stub = self._watchlist(self._editor)
        listed = await called(stub.ListCategories(ListCategoriesRequest(), timeout=_DEADLINE_SECONDS))
        category = _category(list(listed.categories))
        wanted = city.resources(category=category, officer=self._officer_account.name, now_ms=now_ms())
        registry = self._registry()
        request = ApplyResourcesRequest(command_id=str(uuid.uuid4()), resources=wanted)
        applied = await called(registry.ApplyResources(request, timeout=_DEADLINE_SECONDS))
        issued = await called(
            registry.IssueDeviceCredential(
                IssueDeviceCredentialRequest(device_id=city.CAMERA), timeout=_DEADLINE_SECONDS
            )
        )
        self._camera = DeviceLogin(city.CAMERA, issued.secret)
        await _sleep_until(applied.active_from_ms)

    async def _enrolment_code(self) -> str:
        request = CreateEnrolmentCodeRequest(terminal_id=city.TERMINAL, unit_id=city.UNIT)
        created = await called(self._registry().CreateEnrolmentCode(request, timeout=_DEADLINE_SECONDS))
        return str(created.code)

    # The first alert: confirmed, delivered, accepted, ended with an outcome.

    async def _alert_to_outcome(self) -> None:
        plate = city.random_plate()
        await self._listed(plate, "list and approve an entry")
        alert = await self._read_to_alert(plate, timed=True)
        shown_ms, assignment_id = await self._confirm(alert, "confirm to receipt")
        del shown_ms
        async with self._watch.hop("acceptance", at_most_seconds=15):
            await self._officer.client.accept(alert.alert_id, assignment_id)
            await self._done(alert.alert_id, "accept")
        async with self._watch.hop("outcome", at_most_seconds=15):
            await self._officer.client.record_outcome(alert.alert_id, assignment_id, OUTCOME_FOUND)
            await self._done(alert.alert_id, "record_outcome")
            await self._until_closed(alert.alert_id)

    async def _listed(self, plate: str, name: str) -> str:
        async with self._watch.hop(name, at_most_seconds=30):
            added = await called(
                self._watchlist(self._editor).AddEntry(
                    city.entry(plate, now_ms=now_ms()), timeout=_DEADLINE_SECONDS
                )
            )
            request = ApproveEntryRequest(command_id=str(uuid.uuid4()), entry_id=added.entry_id)
            approved = await called(
                self._watchlist(self._approver).ApproveEntry(request, timeout=_DEADLINE_SECONDS)
            )
            await _sleep_until(approved.active_from_ms)
        return str(added.entry_id)

    async def _read_to_alert(self, plate: str, *, timed: bool) -> Alert:
        read = PlateRead(plate=plate, time_ms=now_ms(), event_id=new_event_id())
        payload = hikvision_anpr(read, street(random.Random(read.event_id)))  # noqa: S311
        name = "device to gateway" if timed else "device to gateway, second alert"
        async with (
            gateway_client(self._hub.gateway_url, self._ca_file) as client,
            self._watch.hop(name, at_most_seconds=20),
        ):
            await send(client, self._camera, "hikvision-anpr", payload)
        alert = await self._awaiting(after_ms=read.time_ms)
        if timed:
            seen = alert.sightings[-1]
            self._watch.add("gateway to correlator", seen.correlated_time_ms - seen.received_time_ms)
            self._watch.add("correlator to dispatch", seen.inserted_time_ms - seen.correlated_time_ms)
        return alert

    async def _awaiting(self, *, after_ms: int) -> Alert:
        """The alert of the read that was sent at `after_ms`, once dispatch has it and its picture."""
        request = ListAlertsRequest(statuses=[ALERT_STATUS_AWAITING_CONFIRMATION], page_size=50)
        try:
            async with asyncio.timeout(20):
                while True:
                    listed = await called(self._dispatch().ListAlerts(request, timeout=_DEADLINE_SECONDS))
                    for alert in listed.alerts:
                        if alert.opened_at_ms >= after_ms and alert.sightings[-1].has_picture:
                            return alert
                    await asyncio.sleep(0.05)
        except (TimeoutError, Refuse, OSError) as error:
            raise await self._lost(str(error) or "no alert arrived within 20 s") from None

    async def _lost(self, reason: str) -> HopFailedError:
        """Names the hop before the first service on the way that cannot do its job."""
        for service, name in (
            ("correlator", "gateway to correlator"),
            ("dispatch", "correlator to dispatch"),
        ):
            problem = await not_ready(self._hub.folder, service)
            if problem is not None:
                return HopFailedError(name, problem)
        return HopFailedError("correlator to dispatch", reason)

    async def _confirm(self, alert: Alert, name: str) -> tuple[int, str]:
        """Confirms, and waits for the receipt. Gives when the terminal showed it, and the assignment."""
        async with self._watch.hop(name, at_most_seconds=20):
            request = ConfirmAlertRequest(
                command_id=str(uuid.uuid4()),
                alert_id=alert.alert_id,
                alert_version=alert.version,
                note="self-test",
            )
            await called(self._dispatch().ConfirmAlert(request, timeout=_DEADLINE_SECONDS))
            shown_ms, change = await self._officer.shows(
                alert.alert_id, lambda change: change.removal is None and awaits_answer(change.push)
            )
            await self._done(alert.alert_id, "receipt")
        return shown_ms, change.push.assignment_id

    async def _done(self, alert_id: str, kind: str) -> None:
        _, answer = await self._officer.answered(alert_id, kind)
        if answer.result != CommandAnswer.Result.RESULT_DONE:
            name = CommandAnswer.Result.Name(answer.result)
            raise Refuse(kind, f"to be recorded; the hub answered {name} {answer.detail}")

    async def _until_closed(self, alert_id: str) -> None:
        request = GetAlertRequest(alert_id=alert_id)
        while True:
            got = await called(self._dispatch().GetAlert(request, timeout=_DEADLINE_SECONDS))
            if got.alert.status == ALERT_STATUS_CLOSED and got.alert.outcome == OUTCOME_FOUND:
                return
            await asyncio.sleep(0.05)

    # The second alert: its entry is withdrawn under it.

    async def _withdrawal_to_cancellation(self) -> None:
        plate = city.random_plate()
        entry_id = await self._listed(plate, "list and approve a second entry")
        alert = await self._read_to_alert(plate, timed=False)
        await self._confirm(alert, "confirm to receipt, second alert")
        async with self._watch.hop("withdrawal to cancellation on the terminal", at_most_seconds=20):
            request = WithdrawEntryRequest(
                command_id=str(uuid.uuid4()), entry_id=entry_id, reason="self-test: withdrawn"
            )
            await called(self._watchlist(self._editor).WithdrawEntry(request, timeout=_DEADLINE_SECONDS))
            await self._officer.shows(
                alert.alert_id, lambda change: change.removal is RemovalReason.CANCELLED
            )

    # The audit logs.

    async def _verify_audit(self) -> None:
        async with self._watch.hop("audit export and verification", at_most_seconds=30):
            for service in AUDITED:
                stub = audit_pb2_grpc.AuditServiceStub(self._people.channel(self._auditor, service))
                # Before the rows: a head that the rows do not reach tells that rows were cut off.
                heads = await called(stub.ListHeads(ListHeadsRequest(), timeout=_DEADLINE_SECONDS))
                rows = [row async for row in stub.Export(ExportRequest(), timeout=_DEADLINE_SECONDS)]
                verify_export(service, rows, list(heads.heads), authority_file=self._ca_file)

    def _registry(self) -> registry_pb2_grpc.RegistryServiceAsyncStub:
        return registry_pb2_grpc.RegistryServiceStub(self._people.channel(self._registrar, "registry"))

    def _watchlist(self, account: Account) -> watchlist_pb2_grpc.WatchlistServiceAsyncStub:
        return watchlist_pb2_grpc.WatchlistServiceStub(self._people.channel(account, "watchlist"))

    def _dispatch(self) -> alert_pb2_grpc.DispatchServiceAsyncStub:
        return alert_pb2_grpc.DispatchServiceStub(self._people.channel(self._operator, "dispatch"))


def _category(categories: list[Category]) -> Category:
    for category in categories:
        if category.category == city.CATEGORY:
            return category
    raise NotFound("category", f"the category {city.CATEGORY}")


async def _sleep_until(time_ms: int) -> None:
    """Waits until a version that was published ahead is in force."""
    await asyncio.sleep(max(0.0, (time_ms - now_ms()) / 1000))
