"""Registered devices in memory: what the topic `devices` says, ready for the hot path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from alerthub.api.v1 import registry_pb2
from alerthub.api.v1.common_pb2 import Position
from alerthub.api.v1.observation_pb2 import Observation
from alerthub.domain.admission import AuthenticationClass, Authorisation
from alerthub.domain.errors import DeadLetter, NotAllowed, Retry
from alerthub.domain.partitioning import partition_of


@dataclass(frozen=True, slots=True)
class RegisteredDevice:
    """One version of a device, as one gateway needs it."""

    device_id: str
    version: int
    active_from_ms: int
    active: bool
    district: str
    partition: int
    """Of the topic `observations`."""
    position: Position
    observed: bytes
    """What each observation of the device says of it, as serialised: joining it on costs a third of setting
    its fields."""
    registered_class: AuthenticationClass
    secret_sha256: bytes = field(repr=False)
    """Empty where no secret was issued."""
    speaks_for: frozenset[str]
    authorisations: tuple[Authorisation, ...]
    addresses: frozenset[str]


class DeviceDirectory:
    """The devices by id. Made to be fed by a CompactedReplica of `devices`."""

    def __init__(self, partitions: int, *, incomplete: Callable[[], str | None] = lambda: None) -> None:
        """`partitions` of the topic `observations`. `incomplete` says why not all registered devices may be
        here yet; None: they are."""
        self._partitions = partitions
        self.incomplete = incomplete
        # Newest first: the current version, and until a newer one comes into force that one before it (C5).
        self._versions: dict[str, tuple[RegisteredDevice, ...]] = {}

    def apply(self, key: str, value: bytes | None) -> None:
        """Takes a record of the topic. An older version than the newest known changes nothing (C9)."""
        if value is None:
            self._versions.pop(key, None)
            return
        device = _decoded(value, self._partitions)
        if device.device_id != key:
            raise DeadLetter("a device under the key of another")
        known = self._versions.get(key, ())
        if known and known[0].version >= device.version:
            return
        # Two are kept: the registry publishes a version ahead of its activation, never two at once.
        self._versions[key] = (device, *known[:1])

    def __len__(self) -> int:
        return len(self._versions)

    def newest(self, device_id: str) -> RegisteredDevice | None:
        """The newest version, in force or not: a change of credential counts at once."""
        found = self._versions.get(device_id)
        return found[0] if found else None

    def require_complete(self) -> None:
        """Raises Retry while not all registered devices are known.

        To be asked before anything is refused for what is not registered: a device that is refused does not
        come again, and just after a start it would lose what it saw.
        """
        reason = self.incomplete()
        if reason is not None:
            raise Retry(reason, after_seconds=2)

    def in_force(self, device_id: str, now_ms: int) -> RegisteredDevice:
        """The version in force at `now_ms` (C5).

        NotAllowed where there is none or the device is suspended or removed, which counts at once; Retry
        for a device whose first version comes into force soon, and while not all devices are known.
        """
        found = self._versions.get(device_id)
        if not found:
            self.require_complete()
            raise NotAllowed("device", "a registered device")
        if not found[0].active:
            raise NotAllowed("device", "a device that is not suspended or removed")
        for version in found:
            if version.active_from_ms <= now_ms:
                return version
        wait_seconds = (found[-1].active_from_ms - now_ms) / 1000
        raise Retry("the device is not in force yet", after_seconds=max(1.0, wait_seconds))


def _decoded(value: bytes, partitions: int) -> RegisteredDevice:
    device = registry_pb2.Device.FromString(value)
    try:
        registered_class = AuthenticationClass(device.authentication_class)
    except ValueError:
        raise DeadLetter("a device of an authentication class that this version does not know") from None
    return RegisteredDevice(
        device_id=device.device_id,
        version=device.version,
        active_from_ms=device.active_from_ms,
        active=device.status == registry_pb2.LIFE_STATUS_ACTIVE,
        district=device.district,
        partition=partition_of(device.district, partitions),
        position=device.position,
        observed=Observation(
            device_id=device.device_id, position=device.position, district=device.district
        ).SerializeToString(),
        registered_class=registered_class,
        secret_sha256=device.secret_sha256,
        speaks_for=frozenset(device.speaks_for),
        authorisations=tuple(
            Authorisation(
                authorisation_id=one.authorisation_id,
                active=one.status == registry_pb2.LIFE_STATUS_ACTIVE,
                active_from_ms=one.active_from_ms,
                valid_from_ms=one.valid_from_ms,
                valid_until_ms=one.valid_until_ms,
                legal_basis=one.legal_basis,
                purpose=one.purpose,
                categories=frozenset(one.categories),
            )
            for one in device.authorisations
            if not one.device_ids or device.device_id in one.device_ids
        ),
        addresses=frozenset(device.addresses),
    )
