"""Values for the correlator's tests: what they do not say is as harmless as it can be."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from alerthub.api.v1.common_pb2 import IDENTIFIER_KIND_PLATE
from alerthub.api.v1.observation_pb2 import (
    BlindedIdentifier,
    ClosedObservationBatch,
    Observation,
)
from alerthub.domain.catalogue import Catalogue, Configuration, RegisteredDevice
from alerthub.domain.correlation import Evaluation, Knowledge, evaluate
from alerthub.domain.matching_index import Entry, EntryToken, MatchingIndex
from alerthub.domain.partition_state import PartitionState
from alerthub.domain.resources import (
    AuthenticationClass,
    CheckAuthorisation,
    Device,
    DispatchPolicy,
    DwellParameters,
    LifeStatus,
    Position,
    Rule,
    RuleKind,
    Severity,
    WatchlistHitParameters,
    Zone,
    ZoneKind,
)
from alerthub.domain.texts import LocalizedText
from alerthub.domain.versions import Version
from alerthub.observation_batches import ReadBatch, WrittenBatch

NOW = 1_800_000_000_000
DAY = 86_400_000
MASKS = ("exact", "confusable", "no-province")

AUTHORISATION = CheckAuthorisation(
    authorisation_id="authorisation",
    status=LifeStatus.ACTIVE,
    device_ids=(),
    legal_basis="",
    purpose="",
    categories=("stolen-vehicle", "wanted-person"),
    valid_from_ms=0,
    valid_until_ms=NOW + DAY,
)
DEVICE = Device(
    device_id="camera-1",
    status=LifeStatus.ACTIVE,
    name="",
    adapter="",
    position=Position(38.0, 114.5),
    district="district-1",
    jurisdiction="jurisdiction-1",
    zone_ids=("bay-1",),
    authentication_class=AuthenticationClass.PASSWORD_OVER_TLS,
    speaks_for=(),
    addresses=(),
)
BAY = Zone("bay-1", LifeStatus.ACTIVE, LocalizedText(), ZoneKind.NO_PARKING, "jurisdiction-1", ())
HIT_RULE = Rule(
    rule_id="hit",
    status=LifeStatus.ACTIVE,
    name=LocalizedText(),
    kind=RuleKind.WATCHLIST_HIT,
    zone_ids=(),
    device_ids=(),
    schedule=None,
    severity=Severity.MINOR,
    cooldown_seconds=0,
    unit_kind="patrol",
    policy=DispatchPolicy.SEND_AT_ONCE,
    officer_text=LocalizedText("", "text"),
    allowed_lateness_seconds=0,
    cross_district=False,
    watchlist_hit=WatchlistHitParameters(("exact", "confusable"), 0.0),
    dwell=None,
)
DWELL_RULE = replace(
    HIT_RULE,
    rule_id="dwell",
    kind=RuleKind.DWELL,
    zone_ids=("bay-1",),
    allowed_lateness_seconds=3_600,
    watchlist_hit=None,
    dwell=DwellParameters(dwell_seconds=240, maximum_gap_seconds=60),
)


def token(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def entry(
    entry_id: str = "entry-1",
    *,
    version: int = 1,
    active: bool = True,
    category: str = "stolen-vehicle",
    names_person: bool = False,
    policy: DispatchPolicy = DispatchPolicy.SEND_AT_ONCE,
    severity: Severity = Severity.MAJOR,
    unit_kind: str = "",
    active_from_ms: int = 0,
    valid_until_ms: int = NOW + DAY,
    tokens: Iterable[tuple[str, str]] = (("exact", "listed"),),
) -> Entry:
    """`tokens`: mask and text."""
    return Entry(
        entry_id,
        version,
        active,
        category,
        names_person,
        policy,
        severity,
        unit_kind,
        active_from_ms,
        valid_until_ms,
        tuple(EntryToken(IDENTIFIER_KIND_PLATE, "epoch-1", mask, token(text)) for mask, text in tokens),
    )


class Entries:
    """An index whose packed bytes are numbers of entries, so that the domain is tested without the wire."""

    def __init__(self, *entries: Entry) -> None:
        self._all: list[Entry] = []
        self.index = MatchingIndex(lambda packed: self._all[int(packed)])
        for one in entries:
            self.add(one)

    def add(self, one: Entry) -> bool:
        self._all.append(one)
        return self.index.apply(one.entry_id, str(len(self._all) - 1).encode())

    def misses(self, tokens: Iterable[bytes]) -> bool:
        """Whether the look-up that batches are evaluated with finds none of the tokens, under no mask."""
        known = set(tokens)
        return all(known.isdisjoint(listed) for _, listed in self.index.lookups(MASKS))


def catalogue(
    *,
    devices: Iterable[Device] = (DEVICE,),
    zones: Iterable[Zone] = (BAY,),
    rules: Iterable[Rule] = (HIT_RULE, DWELL_RULE),
    authorisations: Iterable[CheckAuthorisation] = (AUTHORISATION,),
) -> Catalogue:
    filled = Catalogue()
    granted = tuple(Version(1, 0, one) for one in authorisations)
    for device in devices:
        filled.put_device(device.device_id, Version(1, 0, RegisteredDevice(device, granted)))
    for zone in zones:
        filled.put_zone(zone.zone_id, Version(1, 0, zone))
    for rule in rules:
        filled.put_rule(rule.rule_id, Version(1, 0, rule))
    return filled


def knowledge(
    entries: MatchingIndex | None = None,
    configuration: Configuration | None = None,
    masks: tuple[str, ...] = (),
) -> Knowledge:
    return Knowledge(
        configuration=configuration or catalogue().at(NOW),
        entries=entries if entries is not None else Entries(entry()).index,
        masks=masks,
        exact_index=0,
        suspended=set(),
    )


def read(
    name: str = "a",
    *texts: str,
    kind: int = 1,
    confidence: float = 0.0,
    at_ms: int = NOW,
    authentication_class: int = 2,
    authorisation_id: str = "authorisation",
    track: str = "",
    device_id: str = "camera-1",
) -> Observation:
    """An observation; `texts` are what its one identifier's tokens are of, in the order of masks."""
    identifiers = [
        BlindedIdentifier(kind=IDENTIFIER_KIND_PLATE, tokens=[token(text) if text else b"" for text in texts])
    ]
    return Observation(
        observation_id=token(f"observation {name}"),
        device_id=device_id,
        kind=kind,  # type: ignore[arg-type] # the wire's number
        corrected_time_ms=at_ms,
        received_time_ms=at_ms,
        read_confidence=confidence,
        district="district-1",
        track_id=track,
        identifiers=identifiers if texts else [],
        authentication_class=authentication_class,  # type: ignore[arg-type] # the wire's number
        authorisation_id=authorisation_id,
    )


def standing(name: str, *texts: str, at_ms: int, track: str = "", left: bool = False) -> Observation:
    return read(name, *texts, kind=3 if left else 2, at_ms=at_ms, track=track)


def batch_value(*observations: Observation, received_ms: int = NOW) -> bytes:
    written = WrittenBatch("gateway-1", 0, "epoch-1")
    for each in observations:
        written.add(each, ())
    return written.value(received_ms, 0)


def with_one_unreadable(value: bytes) -> bytes:
    """The same batch, its first observation followed by what is none."""
    closed = ClosedObservationBatch.FromString(value)
    closed.observations[0] += b"\xff"
    return closed.SerializeToString()


def batch(*observations: Observation, received_ms: int = NOW) -> ReadBatch:
    return ReadBatch(batch_value(*observations, received_ms=received_ms))


def run(
    *observations: Observation,
    state: PartitionState | None = None,
    offset: int = 0,
    received_ms: int = NOW,
    against: Knowledge | None = None,
    now_ms: int | None = None,
) -> Evaluation:
    return evaluate(
        batch(*observations, received_ms=received_ms),
        offset=offset,
        state=state if state is not None else PartitionState(),
        knowledge=against or knowledge(),
        now_ms=received_ms if now_ms is None else now_ms,
    )


@dataclass
class Message:
    """A record of `observations`."""

    offset: int
    value: bytes
    topic: str = "observations"
    partition: int = 3
    timestamp: float = NOW / 1_000
    headers: Sequence[tuple[str, bytes]] = ()


@dataclass
class Event:
    """Faust's event, which remembers whether it was acknowledged."""

    message: Message
    acknowledged: bool = False

    def ack(self) -> None:
        self.acknowledged = True
