"""The canary's program: whose turn it is, what arrived, and what is said while it is not set up."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from alerthub.api.v1.alert_pb2 import Alert
from alerthub.api.v1.ingest_pb2 import DeviceEvent
from alerthub.api.v1.patrol_pb2 import AlertPush, CommandAnswer
from alerthub.api.v1.registry_pb2 import ApproveAccountRequest, ApproveAccountResponse
from alerthub.api.v1.watchlist_pb2 import ApproveEntryRequest, ApproveEntryResponse
from alerthub.canary import metrics, preparing, service
from alerthub.canary.patrol import Receipts
from alerthub.canary.rounds import Rounds
from alerthub.canary.set_up import Identity, SetUp, SetUpFolder
from alerthub.canary.settings import CanarySettings
from alerthub.domain.canary import entries_needed, lanes, turn
from alerthub.domain.errors import Conflict, Refuse, Retry
from alerthub.domain.folding import JOIN_AFTER_CLOSING_MS
from alerthub.terminal.events import CommandAnswered, ScreenChanged
from alerthub.terminal.headless import now_ms
from alerthub.terminal.screen_state import ChangeKind, RemovalReason, ScreenChange

DONE, SUPERSEDED = CommandAnswer.RESULT_DONE, CommandAnswer.RESULT_SUPERSEDED

# Turns and lanes


@given(st.integers(1_000, 300_000), st.integers(0, 10**13))
def test_c6_an_entrys_next_turn_comes_after_its_alert_takes_no_repeat_any_more(
    every_ms: int, now_ms: int
) -> None:
    entries = entries_needed(every_ms)
    mine = turn(now_ms, every_ms=every_ms, entries=entries)
    again = next(
        later
        for later in range(1, entries + 1)
        if turn(now_ms + later * every_ms, every_ms=every_ms, entries=entries) == mine
    )
    assert again * every_ms > JOIN_AFTER_CLOSING_MS


@given(
    st.lists(st.sets(st.sampled_from(["g1", "g2", "g3", "g4", "g5"])), min_size=1, max_size=8),
    st.integers(0, 4),
)
def test_each_gateway_has_a_lane_of_its_own_and_keeps_it(rounds: list[set[str]], count: int) -> None:
    before: dict[str, int] = {}
    for gateways in rounds:
        after = lanes(before, gateways, count=count)
        assert len(set(after.values())) == len(after) == min(count, len(gateways))
        assert all(lane in range(count) for lane in after.values())
        assert all(after[each] == before[each] for each in gateways & before.keys())
        before = after


# Rounds


class Doors:
    """The gateways of a test, and what was read through each."""

    def __init__(self, *gateways: str) -> None:
        self.gateways: Sequence[str] = gateways
        self.refuse: set[str] = set()
        self.read: list[tuple[str, DeviceEvent]] = []

    async def find(self) -> Sequence[str]:
        if not self.gateways:
            raise Retry("nobody can say")
        return self.gateways

    async def send(self, gateway: str, event: DeviceEvent) -> None:
        if gateway in self.refuse:
            raise Retry("it is away")
        self.read.append((gateway, event))


def rounds_of(doors: Doors, *, lanes: int = 2) -> Rounds:
    """Two entries a lane: e0, e1 of the first."""
    entries = tuple(f"e{number}" for number in range(2 * lanes))
    set_up = SetUp(devices=("canary-1", "canary-2"), lane=2, entries=entries, approved=True)
    return Rounds(set_up, every_ms=300_000, find=doors.find, send=doors.send)


def arrived_at(gateway: str) -> float | None:
    return REGISTRY.get_sample_value("alerthub_canary_arrived_timestamp_seconds", {"gateway": gateway})


@pytest.fixture(autouse=True)
def _no_series_of_others() -> Iterator[None]:
    metrics.ARRIVED.clear()
    yield
    metrics.ARRIVED.clear()


async def test_each_gateway_is_sent_a_plate_of_its_own_and_its_arrival_is_its_own() -> None:
    # given a round through two gateways
    doors = Doors("g1", "g2")
    rounds = rounds_of(doors)
    await rounds.round()
    plates = {gateway: event.identifiers[0].text for gateway, event in doors.read}
    assert len(set(plates.values())) == 2

    # when the second one's arrives
    rounds.arrived(f"e{int(plates['g2'].removeprefix('CANARY'))}")

    # then the first one's is still waited for
    assert arrived_at("g1") == 0
    assert (arrived_at("g2") or 0) > 0


async def test_what_arrives_twice_or_was_never_sent_says_nothing() -> None:
    rounds = rounds_of(Doors("g1"))
    await rounds.round()
    rounds.arrived("e7")
    assert arrived_at("g1") == 0


async def test_a_gateway_that_takes_nothing_holds_up_no_other() -> None:
    doors = Doors("g1", "g2")
    doors.refuse = {"g1"}
    await rounds_of(doors).round()
    assert [gateway for gateway, _ in doors.read] == ["g2"]
    assert arrived_at("g1") == 0


async def test_a_gateway_without_plates_left_is_told_by_its_absence() -> None:
    doors = Doors("g1", "g2", "g3")
    await rounds_of(doors, lanes=2).round()
    assert [gateway for gateway, _ in doors.read] == ["g1", "g2"]
    assert arrived_at("g3") == 0


async def test_a_gateway_that_was_taken_away_is_waited_for_no_longer() -> None:
    doors = Doors("g1", "g2")
    rounds = rounds_of(doors)
    await rounds.round()
    doors.gateways = ("g2",)
    await rounds.round()
    assert arrived_at("g1") is None


async def test_while_nobody_can_say_where_gateways_are_those_that_are_known_are_used() -> None:
    doors = Doors("g1")
    rounds = rounds_of(doors)
    await rounds.round()
    doors.gateways = ()
    await rounds.round()
    assert [gateway for gateway, _ in doors.read] == ["g1", "g1"]


async def test_the_reads_are_of_every_device_in_turn() -> None:
    doors = Doors("g1")
    rounds = rounds_of(doors)
    for _ in range(3):
        await rounds.round()
    assert [event.device_id for _, event in doors.read] == ["canary-1", "canary-2", "canary-1"]


# Receipts


def shown(alert_id: str, entry_id: str) -> ScreenChanged:
    push = AlertPush(alert=Alert(alert_id=alert_id, entry_id=entry_id))
    return ScreenChanged(ScreenChange(ChangeKind.SHOWN, push))


def answered(alert_id: str, kind: str, result: CommandAnswer.Result.ValueType = DONE) -> CommandAnswered:
    return CommandAnswered(kind, "c", alert_id, result, "")


def test_an_entry_has_arrived_with_the_first_receipt_that_the_hub_has() -> None:
    arrived: list[str] = []
    receipts = Receipts(arrived.append)
    receipts.take(shown("a1", "e1"))
    assert arrived == []
    for kind in ("receipt", "accept", "receipt"):
        receipts.take(answered("a1", kind))
    assert arrived == ["e1"]


@pytest.mark.parametrize(
    "answer", [answered("a1", "accept"), answered("a1", "receipt", SUPERSEDED), answered("a2", "receipt")]
)
def test_nothing_else_is_an_arrival(answer: CommandAnswered) -> None:
    arrived: list[str] = []
    receipts = Receipts(arrived.append)
    receipts.take(shown("a1", "e1"))
    receipts.take(answer)
    assert arrived == []


def test_what_has_left_the_screen_is_forgotten() -> None:
    arrived: list[str] = []
    receipts = Receipts(arrived.append)
    receipts.take(shown("a1", "e1"))
    push = AlertPush(alert=Alert(alert_id="a1"))
    gone = ScreenChange(ChangeKind.REMOVED, push, removal=RemovalReason.CANCELLED)
    receipts.take(ScreenChanged(gone))
    receipts.take(answered("a1", "receipt"))
    assert arrived == []


# The set-up


def test_an_empty_folder_is_said_what_is_missing_of_and_who_has_to_do_it(tmp_path: Path) -> None:
    missing = SetUpFolder(tmp_path / "canary").missing()
    steps = ["propose", "approve", "list-plates", "approve-plates"]
    assert [line.rpartition(" ")[2] for line in missing] == steps


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    folder = SetUpFolder(tmp_path)
    folder.change(devices=("canary-1",), valid_until_ms=7)
    folder.change(lane=21, entries=("e1", "e2"), approved=True)
    assert folder.read() == SetUp(("canary-1",), 21, "", ("e1", "e2"), True, 7)


@pytest.mark.parametrize("text", ["", "[]", '{"devices": 1}', "not JSON"])
def test_a_file_of_somebody_else_is_refused_by_its_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "canary.json").write_text(text, encoding="utf-8")
    with pytest.raises(Refuse, match=r"canary\.json"):
        SetUpFolder(tmp_path).missing()


async def test_an_account_of_which_nobody_is_told_the_password_is_no_part_of_the_set_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given an account that an earlier set-up in another folder made
    class Registry:
        def __init__(self, channel: object) -> None:
            pass

        async def ApproveAccount(  # noqa: N802 - the name of the call
            self, request: ApproveAccountRequest, timeout: float
        ) -> ApproveAccountResponse:
            return ApproveAccountResponse(first_password="")

    monkeypatch.setattr("alerthub.api.v1.registry_pb2_grpc.RegistryServiceStub", Registry)
    folder = SetUpFolder(tmp_path)
    folder.change(proposal_id="p1")

    # then its approval says what to do, and the account is still missing
    with pytest.raises(Conflict, match=r"copy officer\.password"):
        await preparing.approve(None, folder)  # type: ignore[arg-type]
    assert not folder.password_file.exists()


async def test_plates_are_part_of_the_set_up_once_they_are_in_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given plates of which the second is in force a while after it was approved
    active_from_ms = {"e1": 0, "e2": now_ms() + 300}
    all_approved = asyncio.Event()

    class Watchlist:
        def __init__(self, channel: object) -> None:
            pass

        async def ApproveEntry(  # noqa: N802 - the name of the call
            self, request: ApproveEntryRequest, timeout: float
        ) -> ApproveEntryResponse:
            if request.entry_id == "e2":
                all_approved.set()
            return ApproveEntryResponse(active_from_ms=active_from_ms[request.entry_id])

    monkeypatch.setattr("alerthub.api.v1.watchlist_pb2_grpc.WatchlistServiceStub", Watchlist)
    folder = SetUpFolder(tmp_path)
    folder.change(lane=2, entries=("e1", "e2"))

    # when they are approved
    approving = asyncio.create_task(preparing.approve_plates(None, folder))  # type: ignore[arg-type]
    await all_approved.wait()

    # then the canary is not to begin before, since its first read would hit nothing
    assert not folder.read().approved
    await approving
    assert folder.read().approved
    assert now_ms() >= active_from_ms["e2"]


class Walks(service.Service):
    """A canary that only says with what it was begun."""

    def __init__(self, folder: SetUpFolder) -> None:
        super().__init__(CanarySettings.model_construct(set_up_folder=folder.root))
        self.begun: asyncio.Queue[Identity] = asyncio.Queue()
        self.under_way = 0

    async def _walk(self, identity: Identity) -> None:
        self.begun.put_nowait(identity)
        self.under_way += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.under_way -= 1


def whole_set_up(folder: SetUpFolder) -> None:
    for name in ("terminal.id", "unit.id", "terminal.pem", "edge.pem"):
        (folder.root / name).write_text("canary", encoding="utf-8")
    folder.password_file.write_text("secret", encoding="utf-8")
    folder.change(devices=("canary-1",), lane=21, entries=("e1",), approved=True, valid_until_ms=7)


async def test_a_set_up_that_was_renewed_is_taken_over_once_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a canary that walks
    monkeypatch.setattr(service, "_LOOK_SECONDS", 0.001)
    folder = SetUpFolder(tmp_path)
    whole_set_up(folder)
    canary = Walks(folder)
    running = asyncio.create_task(canary._run())
    async with asyncio.timeout(20):
        assert (await canary.begun.get()).set_up.valid_until_ms == 7

        # when its plates are listed anew, and approved a while later
        folder.change(entries=("e2",), approved=False, valid_until_ms=8)
        folder.change(approved=True)

        # then it goes on with these, and with these alone
        assert (await canary.begun.get()).set_up.entries == ("e2",)
        assert canary.under_way == 1
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert canary.under_way == 0


async def test_half_of_a_renewal_ends_nothing(tmp_path: Path) -> None:
    folder = SetUpFolder(tmp_path)
    whole_set_up(folder)
    identity = folder.identity()
    folder.change(entries=("e2",), approved=False)
    assert not Walks(folder)._renewed_since(identity)
    folder.change(approved=True)
    assert Walks(folder)._renewed_since(identity)


async def test_what_ends_the_walk_ends_the_canary(tmp_path: Path) -> None:
    class Breaks(Walks):
        async def _walk(self, identity: Identity) -> None:
            raise LookupError

    folder = SetUpFolder(tmp_path)
    whole_set_up(folder)
    with pytest.raises(LookupError):
        await Breaks(folder)._run()
