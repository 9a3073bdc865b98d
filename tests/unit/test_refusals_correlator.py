"""What the correlator holds back and passes on: refusals 2, 4 and 6."""

from __future__ import annotations

import pytest
from correlator_builders import (
    AUTHORISATION,
    DEVICE,
    NOW,
    Entries,
    batch,
    catalogue,
    entry,
    knowledge,
    read,
    run,
)

from alerthub.api.v1 import common_pb2, watchlist_pb2
from alerthub.domain.catalogue import Catalogue, RegisteredDevice
from alerthub.domain.correlation import STAYS_KEPT_AT_MOST_MS, forget_what_is_over
from alerthub.domain.partition_state import GENERATION_MS, PartitionState
from alerthub.domain.resources import DispatchPolicy
from alerthub.domain.rules.interface import WatchlistMatch
from alerthub.domain.versions import Version
from services.correlator import records


def test_refusal_2_ids_of_observations_are_forgotten_by_the_wall_clock() -> None:
    # given a partition in which an observation was seen, and then none for more than an hour
    state = PartitionState()
    run(read("a", "another"), state=state)
    state.changed = False

    # when what is over is forgotten
    forget_what_is_over(state, catalogue().at(NOW), NOW + STAYS_KEPT_AT_MOST_MS + GENERATION_MS + 1)

    # then the state has no trace of the observation, and that is to be written down
    assert state.recent.generations == []
    assert state.changed


def test_refusal_4_an_authorisation_that_is_not_in_force_yet_covers_no_hit() -> None:
    # given a device whose authorisation was published ahead of its activation
    filled = Catalogue()
    for rule in catalogue().at(NOW).device("camera-1").hit_rules:  # type: ignore[union-attr]
        filled.put_rule(rule.rule.value.rule_id, rule.rule)
    granted = (Version(1, NOW + 1, AUTHORISATION),)
    filled.put_device("camera-1", Version(1, 0, RegisteredDevice(DEVICE, granted)))

    # when it reads a listed plate before that
    result = run(read("a", "listed"), against=knowledge(configuration=filled.at(NOW)))

    # then nothing is raised, and that is counted
    assert (result.raised, result.not_covered) == ([], 1)


def test_refusal_6_an_alert_says_that_its_entry_names_a_person() -> None:
    # given an entry that names a person, though its policy were to send at once
    listed = entry(names_person=True, policy=DispatchPolicy.SEND_AT_ONCE)

    # when its plate is read
    [raised] = run(read("a", "listed"), against=knowledge(Entries(listed).index)).raised
    alert = records.alert_of(raised, batch(read("a", "listed")), correlated_ms=NOW)

    # then the alert is a person's, to be confirmed first, on the wire too
    assert isinstance(raised.match, WatchlistMatch)
    assert raised.match.names_person
    assert alert.watchlist.names_person
    assert alert.policy == common_pb2.DISPATCH_POLICY_CONFIRM_FIRST


@pytest.mark.parametrize("names_person", [True, False])
def test_refusal_6_an_entry_of_the_topic_names_a_person_where_watchlist_says_so(names_person: bool) -> None:
    published = watchlist_pb2.PublishedEntry(
        entry_id="e", version=1, status=watchlist_pb2.ENTRY_STATUS_ACTIVE, names_person=names_person
    )
    assert records.entry_of(published.SerializeToString()).names_person is names_person


def test_refusal_6_an_entry_whose_policy_is_not_known_is_confirmed_first() -> None:
    published = watchlist_pb2.PublishedEntry(
        entry_id="e", version=1, status=watchlist_pb2.ENTRY_STATUS_ACTIVE, names_person=False
    )
    assert records.entry_of(published.SerializeToString()).policy is DispatchPolicy.CONFIRM_FIRST


def test_refusal_6_whatever_identifier_hit_the_alert_of_a_persons_entry_is_a_persons() -> None:
    listed = entry(names_person=True, tokens=(("exact", "plate"), ("exact", "document")))
    against = knowledge(Entries(listed).index)

    raised = [run(read(text, text), against=against).raised[0] for text in ("plate", "document")]

    assert [one.policy for one in raised] == [DispatchPolicy.CONFIRM_FIRST] * 2
    assert all(isinstance(one.match, WatchlistMatch) and one.match.names_person for one in raised)
