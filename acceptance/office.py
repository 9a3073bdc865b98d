"""What people do during a run, over gRPC with their own sign-ins.

Every call is tried again while the hub is away, with the same command id."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import grpc
from city import (
    DWELL_RULE,
    DWELL_SECONDS,
    HIT_RULE,
    LATENESS_SECONDS,
    PERSON_CATEGORY,
    PERSONS,
    VEHICLE_CATEGORY,
    City,
    Device,
    DeviceKind,
    ListedPlate,
    Listing,
)
from hub import Hub

JURISDICTION = "accept-city"
TOKEN_USED_SECONDS = 200
"""Of the five minutes that a token lives."""
_AGAIN = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)
_CALL_SECONDS = 10
_PATIENCE_SECONDS = 120


def now_ms() -> int:
    """Milliseconds since 1970."""
    return int(time.time() * 1000)


async def insisted(call: Callable[[], Any]) -> Any:
    """The answer of an RPC, tried again while the hub is away."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return await call()
        except grpc.aio.AioRpcError as error:
            if error.code() not in _AGAIN or time.monotonic() > until:
                raise
            await asyncio.sleep(0.5)


class Person:
    """One account; signs in where it is needed."""

    def __init__(self, wire: SimpleNamespace, hub: Hub, account: dict[str, Any]) -> None:
        self._wire = wire
        self._hub = hub
        self.name = str(account["account"])
        self.password = str(account["password"])
        self._channels: dict[str, tuple[float, grpc.aio.Channel]] = {}
        self._tokens: dict[str, tuple[float, str]] = {}
        self._signing_in = asyncio.Lock()

    async def token(self, audience: str) -> str:
        """A token for one service that lives for a while yet."""
        async with self._signing_in:
            signed_in_at, token = self._tokens.get(audience, (0.0, ""))
            if not token or time.monotonic() - signed_in_at > TOKEN_USED_SECONDS / 2:
                token = await self._sign_in(audience)
                self._tokens[audience] = (time.monotonic(), token)
            return token

    async def _sign_in(self, audience: str) -> str:
        credentials = grpc.ssl_channel_credentials(self._hub.ca_file.read_bytes())
        async with grpc.aio.secure_channel(self._hub.address("registry_person"), credentials) as channel:
            stub = self._wire.SessionServiceStub(channel)
            request = self._wire.SignInRequest(account=self.name, password=self.password, audience=audience)
            response = await insisted(lambda: stub.SignIn(request, timeout=_CALL_SECONDS))
        return str(response.token)

    async def at(self, service: str) -> grpc.aio.Channel:
        """A channel to a service with this person's token."""
        signed_in_at, channel = self._channels.get(service, (0.0, None))
        if channel is not None and time.monotonic() - signed_in_at < TOKEN_USED_SECONDS / 2:
            return channel
        if channel is not None:
            await channel.close()
        credentials = grpc.composite_channel_credentials(
            grpc.ssl_channel_credentials(self._hub.ca_file.read_bytes()),
            grpc.access_token_call_credentials(await self.token(service)),
        )
        channel = grpc.aio.secure_channel(self._hub.address(f"{service}_person"), credentials)
        self._channels[service] = (time.monotonic(), channel)
        return channel

    async def call(self, service: str, stub_name: str, method: str, request: Any) -> Any:
        """One call, tried again while the hub is away, with a new sign-in if the old one ended meanwhile."""

        async def once() -> Any:
            stub = getattr(self._wire, stub_name)(await self.at(service))
            return await getattr(stub, method)(request, timeout=_CALL_SECONDS)

        return await insisted(once)


class Office:
    """The people of the city."""

    def __init__(self, wire: SimpleNamespace, hub: Hub) -> None:
        self._wire = wire
        self._hub = hub
        people = {str(each["account"]): each for each in hub.accounts()}
        self._registrar = self._holding("ROLE_REGISTRY_EDITOR", people)
        self._editor = self._holding("ROLE_WATCHLIST_EDITOR", people)
        self._approver = self._holding("ROLE_WATCHLIST_APPROVER", people, other_than=self._editor.name)
        self._operator = self._holding("ROLE_OPERATOR", people)
        self._auditor = self._holding("ROLE_AUDITOR", people)
        self.officer = self._holding("ROLE_OFFICER", people)

    def _holding(self, role: str, people: dict[str, Any], other_than: str = "") -> Person:
        for name, account in people.items():
            if role in account["roles"] and name != other_than:
                return Person(self._wire, self._hub, account)
        raise SystemExit(f"accounts.json has nobody with {role}")

    # Before the run.

    async def apply(self, city: City) -> dict[str, str]:
        """Registers the city; gives the devices' secrets."""
        wire = self._wire
        categories = await self._editor.call(
            "watchlist", "WatchlistServiceStub", "ListCategories", wire.ListCategoriesRequest()
        )
        kinds = {
            each.unit_kind
            for each in categories.categories
            if each.category in (VEHICLE_CATEGORY, PERSON_CATEGORY)
        }
        if len(kinds) != 1:
            raise SystemExit(f"the categories of the run go to one kind of unit, not to {sorted(kinds)}")
        request = wire.ApplyResourcesRequest(
            command_id=str(uuid.uuid4()), resources=_resources(wire, city, kinds.pop(), self.officer.name)
        )
        applied = await self._registrar.call("registry", "RegistryServiceStub", "ApplyResources", request)
        secrets = {}
        for device in city.devices:
            issued = await self._registrar.call(
                "registry",
                "RegistryServiceStub",
                "IssueDeviceCredential",
                wire.IssueDeviceCredentialRequest(device_id=device.device_id),
            )
            secrets[device.device_id] = str(issued.secret)
        await asyncio.sleep(max(0.0, (applied.active_from_ms - now_ms()) / 1000))
        return secrets

    async def enrolment_code(self, terminal_id: str, unit_id: str) -> str:
        """A one-time code for a terminal."""
        request = self._wire.CreateEnrolmentCodeRequest(terminal_id=terminal_id, unit_id=unit_id)
        created = await self._registrar.call(
            "registry", "RegistryServiceStub", "CreateEnrolmentCode", request
        )
        return str(created.code)

    async def list_plates(self, plates: list[ListedPlate]) -> None:
        """Enters every plate, and approves those that are to be approved; they are in force afterwards."""
        wire = self._wire
        active_from_ms = expired_at_ms = 0
        for plate in plates:
            valid_until_ms = now_ms() + 3_600_000
            if plate.listing is Listing.EXPIRED:
                valid_until_ms = expired_at_ms = now_ms() + 8_000
            added = await self._editor.call(
                "watchlist", "WatchlistServiceStub", "AddEntry", _entry(wire, plate, valid_until_ms)
            )
            plate.entry_id = str(added.entry_id)
            if plate.listing is not Listing.UNAPPROVED:
                request = wire.ApproveEntryRequest(command_id=str(uuid.uuid4()), entry_id=plate.entry_id)
                approved = await self._approver.call(
                    "watchlist", "WatchlistServiceStub", "ApproveEntry", request
                )
                active_from_ms = max(active_from_ms, approved.active_from_ms)
        await asyncio.sleep(max(0.0, (max(active_from_ms, expired_at_ms) + 2_000 - now_ms()) / 1000))

    # During the run.

    async def confirm_forever(self, city: City) -> None:
        """Confirms the person alerts that are to be confirmed, as they come in."""
        wire = self._wire
        wanted = {each.entry_id for each in city.plates if each.listing is Listing.PERSON_CONFIRMED}
        request = wire.ListAlertsRequest(statuses=[wire.ALERT_STATUS_AWAITING_CONFIRMATION], page_size=200)
        while True:
            listed = await self._operator.call("dispatch", "DispatchServiceStub", "ListAlerts", request)
            for alert in listed.alerts:
                if alert.entry_id not in wanted or not any(each.has_picture for each in alert.sightings):
                    continue
                command = wire.ConfirmAlertRequest(
                    command_id=str(uuid.uuid5(uuid.NAMESPACE_OID, alert.alert_id)),
                    alert_id=alert.alert_id,
                    note="acceptance",
                )
                await self._operator.call("dispatch", "DispatchServiceStub", "ConfirmAlert", command)
            await asyncio.sleep(1.0)

    async def until_counted(self, expected: dict[str, int]) -> None:
        """Returns when each of these fold keys has an alert with as many sightings."""
        while True:
            counted = {alert.fold_key: alert.sighting_count for alert in await self.all_alerts()}
            if all(counted.get(key, 0) >= count for key, count in expected.items()):
                return
            await asyncio.sleep(1.0)

    async def withdraw(self, plates: list[ListedPlate]) -> None:
        """Withdraws the entries whose listing says so."""
        for plate in plates:
            if plate.listing is Listing.WITHDRAWN:
                request = self._wire.WithdrawEntryRequest(
                    command_id=str(uuid.uuid4()), entry_id=plate.entry_id, reason="acceptance: withdrawn"
                )
                await self._editor.call("watchlist", "WatchlistServiceStub", "WithdrawEntry", request)

    # After the run.

    async def all_alerts(self) -> list[Any]:
        """Every alert of the hub, whatever its status."""
        wire = self._wire
        alerts: list[Any] = []
        page_token = ""
        while True:
            request = wire.ListAlertsRequest(
                statuses=[number for number in wire.AlertStatus.values() if number],
                page_size=500,
                page_token=page_token,
            )
            listed = await self._operator.call("dispatch", "DispatchServiceStub", "ListAlerts", request)
            alerts.extend(listed.alerts)
            page_token = listed.next_page_token
            if not page_token:
                return alerts

    @property
    def auditor(self) -> Person:
        """Who may export the audit logs."""
        return self._auditor


def _resources(wire: SimpleNamespace, city: City, unit_kind: str, officer: str) -> list[Any]:
    def text(value: str) -> Any:
        return wire.LocalizedText(chinese=value, english=value)

    def place(device: Device) -> Any:
        return wire.Position(latitude=device.latitude, longitude=device.longitude)

    from_ms, until_ms = now_ms() - 3_600_000, now_ms() + 20 * 3_600_000
    resource = wire.Resource
    made = [resource(jurisdiction=wire.Jurisdiction(jurisdiction_id=JURISDICTION, name=text("acceptance")))]
    for device in city.devices:
        token = device.kind is DeviceKind.URL_TOKEN_CAMERA
        sensor = device.kind is DeviceKind.PARKING_SENSOR
        zone = f"zone-{device.device_id}"
        if sensor:
            ring = [
                wire.Position(latitude=device.latitude + north, longitude=device.longitude + east)
                for north, east in ((0, 0), (0, 0.001), (0.001, 0.001), (0.001, 0))
            ]
            made.append(
                resource(
                    zone=wire.Zone(
                        zone_id=zone,
                        name=text("no parking"),
                        kind=wire.ZONE_KIND_NO_PARKING,
                        jurisdiction=JURISDICTION,
                        ring=ring,
                    )
                )
            )
        made.append(
            resource(
                device=wire.Device(
                    device_id=device.device_id,
                    name=device.kind.value,
                    adapter="cloudevents" if sensor else "hikvision-anpr",
                    position=place(device),
                    district=device.district,
                    jurisdiction=JURISDICTION,
                    zone_ids=[zone] if sensor else [],
                    authentication_class=wire.AUTHENTICATION_CLASS_URL_TOKEN
                    if token
                    else wire.AUTHENTICATION_CLASS_PASSWORD_OVER_TLS,
                )
            )
        )
    checking = [
        each.device_id
        for each in city.devices
        if each.kind in (DeviceKind.CAMERA, DeviceKind.URL_TOKEN_CAMERA)
    ]
    made.append(
        resource(
            authorisation=wire.CheckAuthorisation(
                authorisation_id="accept-authorisation",
                device_ids=checking,
                legal_basis="acceptance",
                purpose="acceptance",
                categories=[VEHICLE_CATEGORY, PERSON_CATEGORY],
                valid_from_ms=from_ms,
                valid_until_ms=until_ms,
            )
        )
    )
    common = {
        "severity": wire.SEVERITY_MAJOR,
        "unit_kind": unit_kind,
        "policy": wire.DISPATCH_POLICY_SEND_AT_ONCE,
        "allowed_lateness_seconds": LATENESS_SECONDS,
    }
    made.append(
        resource(
            rule=wire.Rule(
                rule_id=HIT_RULE,
                name=text("hit"),
                kind=wire.RULE_KIND_WATCHLIST_HIT,
                officer_text=text("listed vehicle"),
                watchlist_hit=wire.WatchlistHitParameters(masks=["exact"]),
                **common,
            )
        )
    )
    made.append(
        resource(
            rule=wire.Rule(
                rule_id=DWELL_RULE,
                name=text("no parking"),
                kind=wire.RULE_KIND_DWELL,
                zone_ids=[f"zone-{each.device_id}" for each in city.of_kind(DeviceKind.PARKING_SENSOR)],
                officer_text=text("stands too long"),
                # Longer than an outage: what is sent again closes the gap.
                dwell=wire.DwellParameters(dwell_seconds=DWELL_SECONDS, maximum_gap_seconds=120),
                **common,
            )
        )
    )
    for number, unit in enumerate(city.units):
        station = city.devices[number]
        made.append(
            resource(
                unit=wire.Unit(
                    unit_id=unit,
                    name=text(unit),
                    unit_kind=unit_kind,
                    jurisdiction=JURISDICTION,
                    station=place(station),
                )
            )
        )
        made.append(
            resource(
                shift=wire.Shift(
                    shift_id=f"shift-{unit}",
                    unit_id=unit,
                    from_ms=from_ms,
                    until_ms=until_ms,
                    officers=[officer],
                )
            )
        )
    return made


def _entry(wire: SimpleNamespace, plate: ListedPlate, valid_until_ms: int) -> Any:
    return wire.AddEntryRequest(
        command_id=str(uuid.uuid4()),
        entry=wire.NewEntry(
            category=PERSON_CATEGORY if plate.listing in PERSONS else VEHICLE_CATEGORY,
            identifiers=[
                wire.EntryIdentifier(kind=wire.IDENTIFIER_KIND_PLATE, text=plate.plate, masks=["exact"])
            ],
            case_number="ACCEPT-1",
            legal_basis="acceptance",
            issuing_authority="acceptance desk",
            authority_contact="110",
            instruction=wire.LocalizedText(chinese="验收", english="acceptance"),
            valid_until_ms=valid_until_ms,
        ),
    )
