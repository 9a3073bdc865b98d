"""Values for the tests of passages: two cameras far apart, and a rule for cloned plates."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from correlator_builders import AUTHORISATION, DEVICE, HIT_RULE, MASKS, NOW, catalogue, knowledge, read, run

from alerthub import passage_batches
from alerthub.api.v1.common_pb2 import Position as WirePosition
from alerthub.api.v1.observation_pb2 import Observation, ObservationBatch, WrappedDataKey
from alerthub.domain.catalogue import Configuration
from alerthub.domain.cross_district import CrossEvaluation, evaluate
from alerthub.domain.passage_state import PassageState
from alerthub.domain.passages import Passage, PassageBatch, SourcePosition, SourceWatermark
from alerthub.domain.resources import ClonedPlateParameters, Position, Rule, RuleKind
from alerthub.domain.routing import Place
from alerthub.domain.rules.cloned_plate import Pair, Read
from alerthub.domain.rules.cloned_plate import raised as raised_of
from alerthub.domain.rules.interface import Raised
from alerthub.domain.versions import Version
from alerthub.observation_batches import ReadBatch
from alerthub.passage_batches import Sent, Source

CLONED_RULE = replace(
    HIT_RULE,
    rule_id="cloned",
    kind=RuleKind.CLONED_PLATE,
    cross_district=True,
    watchlist_hit=None,
    cloned_plate=ClonedPlateParameters(maximum_speed_kmh=120, window_seconds=1_800, minimum_confidence=0.8),
)
HERE = Place(38.0, 114.5)
FAR = Place(38.3, 114.5)
"""33.4 km north of `HERE`: a little over 16.6 minutes at 120 km/h."""
PLATE = b"plate".hex()
TOPIC = b"observations-1"
FAR_DEVICE = replace(
    DEVICE, device_id="camera-2", district="district-2", position=Position(FAR.latitude, FAR.longitude)
)


def seen(name: str, place: Place, at_ms: int, *, uncertainty_ms: int = 500) -> Read:
    return Read(
        observation_id=name.encode().ljust(16, b"."),
        device_id=f"camera at {place.latitude}",
        at_ms=at_ms,
        uncertainty_ms=uncertainty_ms,
        place=place,
        kept=name.encode(),
        data_key_ids=(b"key",),
    )


def configuration(rules: Iterable[Rule] = (CLONED_RULE,)) -> Configuration:
    return catalogue(rules=rules, devices=[DEVICE, FAR_DEVICE], authorisations=[AUTHORISATION]).at(NOW)


def passed(
    offset: int,
    *reads: Read,
    source: int = 1,
    received_ms: int = NOW,
    previous: int | None = None,
    topic: bytes = TOPIC,
    watermarks: tuple[SourceWatermark, ...] = (),
) -> PassageBatch:
    """What the source's batch at `offset` passes on; `previous`: the offset that it sent before."""
    return PassageBatch(
        source_topic_id=topic,
        source_partition=source,
        source_offset=offset,
        received_ms=received_ms,
        previous=None if previous is None else SourcePosition(previous, 0),
        passages=tuple(Passage("cloned", PLATE, index, one) for index, one in enumerate(reads)),
        watermarks=watermarks,
        data_keys={b"key": b"wrapped"},
    )


class SecondAgent:
    """Applies records in their order, as one partition of passages holds them."""

    def __init__(self, rules: Iterable[Rule] = (CLONED_RULE,)) -> None:
        self.state = PassageState()
        self.configuration = configuration(rules)
        self.suspended: set[tuple[str, int]] = set()
        self.raised: list[Raised] = []
        self.offset = 0

    def take(self, batch: PassageBatch) -> CrossEvaluation:
        result = evaluate(
            batch,
            offset=self.offset,
            state=self.state,
            configuration=self.configuration,
            suspended=self.suspended,
            to_raised=to_raised,
        )
        self.offset += 1
        self.raised.extend(one.raised for one in result.fired)
        return result


def to_raised(rule: Version[Rule], subject: str, pair: Pair) -> Raised:
    return raised_of(
        rule, subject, pair, later=read("later"), earlier=read("earlier"), jurisdiction="jurisdiction-1"
    )


def read_at(name: str, place: Place, text: str, *, at_ms: int = NOW, confidence: float = 0.0) -> Observation:
    """An observation of a plate there, as the gateway makes it."""
    device_id = "camera-1" if place == HERE else "camera-2"
    observation = read(name, text, "confusable", at_ms=at_ms, confidence=confidence, device_id=device_id)
    observation.position.CopyFrom(WirePosition(latitude=place.latitude, longitude=place.longitude))
    observation.clock_uncertainty_ms = 500
    return observation


def at(source: int, received_ms: int, sent: int | None = None) -> SourceWatermark:
    return SourceWatermark(source, received_ms, None if sent is None else SourcePosition(sent, 0))


def packed(sent: Sent, *, offset: int = 5) -> list[tuple[int, bytes]]:
    observation = read_at("a", HERE, "plate")
    observation.track_id, observation.picture_id = "track", "picture"
    observation.identifiers[0].sealed_details, observation.identifiers[0].data_key_id = b"sealed", b"key"
    wire = batch_with_keys(observation)
    known = replace(knowledge(configuration=configuration()), masks=MASKS)
    result = run(observation, against=known)
    return list(passage_batches.packed(result.passing, wire, Source(TOPIC, 3, offset, 0), sent, partitions=8))


def batch_with_keys(*observations: Observation) -> ReadBatch:
    return ReadBatch(
        ObservationBatch(
            gateway_id="gateway-1",
            received_time_ms=NOW,
            epoch="epoch-1",
            observations=observations,
            data_keys=[
                WrappedDataKey(data_key_id=b"key", wrapped=b"w"),
                WrappedDataKey(data_key_id=b"another", wrapped=b"x"),
            ],
        ).SerializeToString()
    )
