"""Makes the observation that may leave the gateway: tokens instead of identifiers, everything readable
sealed."""

from __future__ import annotations

from dataclasses import dataclass

from alerthub.api.v1.common_pb2 import AuthenticationClass as WireAuthenticationClass
from alerthub.api.v1.common_pb2 import IdentifierKind as WireIdentifierKind
from alerthub.api.v1.common_pb2 import Position
from alerthub.api.v1.observation_pb2 import Direction as WireDirection
from alerthub.api.v1.observation_pb2 import Observation, SealedDetails
from alerthub.api.v1.observation_pb2 import ObservationKind as WireObservationKind
from alerthub.domain.admission import AuthenticationClass
from alerthub.domain.clock import CorrectedTime
from alerthub.domain.device_events import DeviceEvent, Place
from alerthub.domain.identifiers import normalise
from alerthub.sealing import DataKeyring, WrappedKey, details_associated, picture_associated
from services.gateway.devices import RegisteredDevice
from services.gateway.keys import Blinding


@dataclass(frozen=True, slots=True)
class SealedPicture:
    """A picture as it may lie in the store."""

    picture_id: str
    sealed: bytes
    key: WrappedKey


def seal_picture(
    keyring: DataKeyring, observation_id: bytes, picture: bytes, *, picture_id: str, now_ms: int
) -> SealedPicture:
    """Seals a picture under the id that it will have in the store, which is not the observation's: a repeat
    through another gateway is sealed under another key. Retry without a valid sealing key."""
    sealed = keyring.seal(picture, picture_associated(observation_id, picture_id), now_ms)
    return SealedPicture(picture_id, sealed.sealed, sealed.key)


def observation(
    event: DeviceEvent,
    device: RegisteredDevice,
    *,
    observation_id: bytes,
    authentication_class: AuthenticationClass,
    corrected: CorrectedTime,
    received_time_ms: int,
    picture: SealedPicture | None,
) -> Observation:
    """The observation for Kafka, still without identifiers. It holds nothing of the event that names
    anybody."""
    made = Observation(
        observation_id=observation_id,
        kind=WireObservationKind.ValueType(event.kind),
        device_time_ms=event.device_time_ms,
        corrected_time_ms=corrected.time_ms,
        received_time_ms=received_time_ms,
        clock_uncertainty_ms=corrected.uncertainty_ms,
        read_confidence=event.read_confidence,
        authentication_class=WireAuthenticationClass.ValueType(authentication_class),
    )
    made.MergeFromString(device.observed)
    if event.place is not None:
        made.position.CopyFrom(position_of(event.place, device))
    # Most events leave these empty, and an empty field costs as much to set as any other.
    if event.track_id:
        made.track_id = event.track_id
    if event.direction:
        made.direction = WireDirection.ValueType(event.direction)
    if event.lane:
        made.lane = event.lane
    if picture is not None:
        made.picture_id = picture.picture_id
        made.picture_data_key_id = picture.key.data_key_id
    return made


def add_identifiers(
    made: Observation,
    event: DeviceEvent,
    blinding: Blinding,
    keyring: DataKeyring,
    *,
    authorisation_id: str,
    now_ms: int,
) -> WrappedKey | None:
    """Adds the event's identifiers as tokens and sealed details, and the authorisation under which they were
    taken. Returns the data key that seals them (refusal 3)."""
    made.authorisation_id = authorisation_id
    key: WrappedKey | None = None
    for one in event.identifiers:
        text = normalise(one.kind, one.text)
        if text is None:
            continue
        tokens = blinding.blinder.tokens(one.kind, text)
        details = SealedDetails(
            identifier=text, make=event.make, colour=event.colour, plate_colour=event.plate_colour
        )
        sealed = keyring.seal(
            details.SerializeToString(), details_associated(made.observation_id, tokens[0]), now_ms
        )
        key = sealed.key
        made.identifiers.add(
            kind=WireIdentifierKind.ValueType(one.kind),
            tokens=tokens,
            sealed_details=sealed.sealed,
            data_key_id=key.data_key_id,
        )
    return key


def position_of(place: Place | None, device: RegisteredDevice) -> Position:
    """Where it happened: where a moving device says it was, else the device's registered place."""
    if place is None:
        return device.position
    return Position(latitude=place.latitude, longitude=place.longitude)
