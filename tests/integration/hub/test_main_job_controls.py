"""What must not reach a patrol, each beside the same job done right, so that silence is no mistake."""

from __future__ import annotations

from hub_driver import TOKEN_CAMERA, UNAUTHORISED_CAMERA, Hub, random_plates

from alerthub.api.v1.alert_pb2 import ALERT_STATUS_AWAITING_CONFIRMATION
from alerthub.terminal.headless import now_ms


def _entries_with_alerts(hub: Hub) -> set[str]:
    return {alert.entry_id for alert in hub.alerts()}


def _a_later_read_has_arrived(hub: Hub) -> None:
    """The same camera's district is one partition, in order: what came before this has been decided."""
    sentinel = random_plates(1)[0]
    entry = hub.list_plates([sentinel])[sentinel]
    hub.read(sentinel)
    hub.wait_until_shown([entry])


def test_a_stolen_vehicle_reaches_the_terminal_at_once_with_its_plate(hub: Hub) -> None:
    plate = random_plates(1)[0]
    entry = hub.list_plates([plate])[plate]

    hub.read(plate)

    hub.wait_until_shown([entry])
    assert [shown.plate for shown in hub.shown() if shown.entry_id == entry] == [plate]


def test_an_entry_that_nobody_approved_raises_nothing(hub: Hub) -> None:
    plate = random_plates(1)[0]
    entry = hub.add_entry(plate)

    hub.read(plate)

    _a_later_read_has_arrived(hub)
    assert entry not in _entries_with_alerts(hub)


def test_a_person_alert_waits_for_the_operator_and_then_reaches_the_terminal(hub: Hub) -> None:
    # given a person's vehicle, and a rule that would send at once
    plate = random_plates(1)[0]
    entry = hub.list_plates([plate], category="wanted_person_vehicle")[plate]

    # when it is read
    hub.read(plate)
    alert = hub.alert_of(entry, lambda alert: alert.sightings[-1].has_picture)
    _a_later_read_has_arrived(hub)

    # then it waits, while a later vehicle alert has come through
    assert alert.status == ALERT_STATUS_AWAITING_CONFIRMATION
    assert entry not in {shown.entry_id for shown in hub.shown()}

    # and the operator's confirmation sends it
    hub.confirm(alert)
    hub.wait_until_shown([entry])


def test_an_expired_entry_raises_nothing(hub: Hub) -> None:
    plate = random_plates(1)[0]
    ends_at_ms = now_ms() + 5_000
    entry = hub.add_entry(plate, valid_until_ms=ends_at_ms)
    hub.approve(entry)
    while now_ms() <= ends_at_ms:
        _a_later_read_has_arrived(hub)

    hub.read(plate)

    _a_later_read_has_arrived(hub)
    assert entry not in _entries_with_alerts(hub)


def test_a_withdrawn_entry_raises_nothing_and_takes_its_alert_off_the_screen(hub: Hub) -> None:
    plate = random_plates(1)[0]
    entry = hub.list_plates([plate])[plate]
    hub.read(plate)
    hub.wait_until_shown([entry])
    alert = hub.alert_of(entry)

    hub.withdraw(entry)

    hub.wait_until_removed(alert.alert_id)
    hub.read(plate)
    _a_later_read_has_arrived(hub)
    assert [each.alert_id for each in hub.alerts() if each.entry_id == entry] == [alert.alert_id]


def test_another_plate_raises_nothing(hub: Hub) -> None:
    listed, other = random_plates(2)
    entry = hub.list_plates([listed])[listed]

    hub.read(other)

    _a_later_read_has_arrived(hub)
    assert entry not in _entries_with_alerts(hub)


def test_a_device_without_authorisation_raises_nothing(hub: Hub) -> None:
    plate = random_plates(1)[0]
    entry = hub.list_plates([plate])[plate]

    hub.read(plate, camera=UNAUTHORISED_CAMERA)

    _a_later_read_has_arrived(hub)
    assert entry not in _entries_with_alerts(hub)


def test_a_device_known_by_url_token_alone_never_sends_at_once(hub: Hub) -> None:
    # given a vehicle that may be sent at once
    plate = random_plates(1)[0]
    entry = hub.list_plates([plate])[plate]

    # when a device reads it that proves itself weakly
    hub.read(plate, camera=TOKEN_CAMERA)

    # then an operator has to confirm it
    alert = hub.alert_of(entry)
    _a_later_read_has_arrived(hub)
    assert alert.status == ALERT_STATUS_AWAITING_CONFIRMATION
    assert entry not in {shown.entry_id for shown in hub.shown()}
