"""A batch with an index says the same as the observations in it, and as the same batch without one."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from correlator_builders import NOW, Entries, entry, knowledge, read, standing, token
from hypothesis import given
from hypothesis import strategies as st

from alerthub.api.v1.common_pb2 import IDENTIFIER_KIND_PLATE
from alerthub.api.v1.observation_pb2 import (
    BlindedIdentifier,
    ClosedObservationBatch,
    Observation,
    ObservationBatch,
)
from alerthub.domain.correlation import evaluate
from alerthub.domain.partition_state import PartitionState
from alerthub.observation_batches import ReadBatch, WrittenBatch

TOKENS = st.sampled_from([b"", token("listed"), token("another"), b"of another size"])
IDENTIFIERS = st.lists(
    st.lists(TOKENS, max_size=3).map(
        lambda tokens: BlindedIdentifier(kind=IDENTIFIER_KIND_PLATE, tokens=tokens)
    ),
    max_size=3,
)
OBSERVATIONS = st.lists(
    st.builds(
        lambda name, kind, identifiers: Observation(
            observation_id=name,
            device_id="camera-1",
            kind=kind,
            corrected_time_ms=NOW,
            received_time_ms=NOW,
            district="district-1",
            track_id="track",
            authorisation_id="authorisation",
            authentication_class=2,  # type: ignore[arg-type] # the wire's number
            identifiers=identifiers,
        ),
        st.sampled_from([b"a" * 16, b"b" * 16, b"c" * 16, b"", b"short"]),
        st.sampled_from([0, 1, 2, 3, 6]),
        IDENTIFIERS,
    ),
    max_size=8,
)
MASKS = st.sampled_from([(), ("exact",), ("exact", "confusable"), ("no-province", "exact", "confusable")])


def unindexed(observations: Sequence[Observation]) -> bytes:
    return ObservationBatch(received_time_ms=NOW, observations=observations).SerializeToString()


def indexed(observations: Sequence[Observation]) -> bytes:
    written = WrittenBatch("gateway-1", 0, "epoch-1")
    for each in observations:
        written.add(each, ())
    return written.value(NOW, 0)


@given(OBSERVATIONS)
def test_the_columns_are_of_the_observations(observations: list[Observation]) -> None:
    batch = ReadBatch(indexed(observations))

    assert list(batch.observation_ids) == [one.observation_id for one in observations]
    assert list(batch.kinds) == [one.kind for one in observations]
    assert list(batch.identifier_counts) == [len(one.identifiers) for one in observations]
    assert [batch.observation(index) for index in range(len(observations))] == observations


@given(OBSERVATIONS, MASKS)
def test_an_index_changes_nothing_that_a_batch_does(
    observations: list[Observation], masks: tuple[str, ...]
) -> None:
    entries = Entries(entry(tokens=[("exact", "listed"), ("confusable", "another")]))

    def outcome(value: bytes) -> tuple[object, ...]:
        state = PartitionState()
        result = evaluate(
            ReadBatch(value),
            offset=0,
            state=state,
            knowledge=knowledge(entries.index, masks=masks),
            now_ms=NOW,
        )
        stays = {name: district.stays for name, district in state.districts.items()}
        return [one.raised_id for one in result.raised], state.totals(), state.recent.generations, stays

    assert outcome(indexed(observations)) == outcome(unindexed(observations))


def test_an_observation_that_nobody_looks_for_is_not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    # given three observations, of which one hits an entry and one stands in a bay
    batch = ReadBatch(indexed([read("a", "another"), read("b", "listed"), standing("c", at_ms=NOW)]))
    opened: list[int] = []
    opening = ReadBatch.observation

    def observation(self: ReadBatch, index: int) -> Observation:
        opened.append(index)
        return opening(self, index)

    monkeypatch.setattr(ReadBatch, "observation", observation)

    # when the batch is evaluated
    evaluate(batch, offset=0, state=PartitionState(), knowledge=knowledge(masks=("exact",)), now_ms=NOW)

    # then only those two are opened
    assert opened == [1, 2]


@pytest.mark.parametrize("field", ["observation_ids", "kinds", "identifier_counts"])
def test_an_index_of_another_number_of_observations_is_not_relied_on(field: str) -> None:
    closed = ClosedObservationBatch.FromString(indexed([read("a", "listed"), read("b", "another")]))
    setattr(closed.index, field, getattr(closed.index, field)[:-1])

    batch = ReadBatch(closed.SerializeToString())

    assert list(batch.observation_ids) == [token("observation a"), token("observation b")]
    assert batch.tokens(0) == [token("listed"), token("another")]
