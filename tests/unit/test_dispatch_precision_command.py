"""`alerthub precision`: what is asked of dispatch, and what a person reads. Dispatch is stood in for."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from alerthub.api.v1 import alert_pb2
from alerthub.cli import precision
from alerthub.cli.main import application
from alerthub.domain.errors import NotAllowed

PROPOSAL = "6f9d2a52-0000-4000-8000-000000000001"


class Dispatch:
    """Answers, and notes who asked for what."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.account = ""
        self.refuses = False

    async def ListPrecision(self, request: Any, timeout: float) -> Any:  # noqa: N802
        return alert_pb2.ListPrecisionResponse(
            records=[
                alert_pb2.PrecisionRecord(
                    kind="device", subject="cam-1", outcomes=20, right=1, upper_bound=0.24, suspended=True
                )
            ],
            floor=0.3,
            floor_proposals=[
                alert_pb2.PrecisionFloorProposal(
                    proposal_id=PROPOSAL, floor=0.2, reason="new cameras", proposed_by="zhao"
                )
            ],
        )

    async def ProposePrecisionFloor(self, request: Any, timeout: float) -> Any:  # noqa: N802
        self.asked.append((self.account, request))
        return alert_pb2.ProposePrecisionFloorResponse(proposal_id=request.command_id)

    async def ApprovePrecisionFloor(self, request: Any, timeout: float) -> Any:  # noqa: N802
        self.asked.append((self.account, request))
        if self.refuses:
            raise NotAllowed("proposal_id", "approved by somebody other than who proposed it (S6)")
        return alert_pb2.ApprovePrecisionFloorResponse(floor=0.2)

    async def LiftSuspension(self, request: Any, timeout: float) -> Any:  # noqa: N802
        self.asked.append((self.account, request))
        return alert_pb2.LiftSuspensionResponse()


@pytest.fixture
def dispatch(monkeypatch: pytest.MonkeyPatch) -> Dispatch:
    made = Dispatch()

    @asynccontextmanager
    async def connected(data: Path, account: str) -> AsyncIterator[Dispatch]:
        made.account = account
        yield made

    monkeypatch.setattr(precision, "dispatch", connected)
    return made


def run(*arguments: str) -> Result:
    return CliRunner().invoke(application(), ["precision", *arguments, "--account", "qian"])


def test_what_is_suspended_and_what_is_proposed_is_listed(dispatch: Dispatch) -> None:
    told = run("list").output
    assert "cam-1" in told
    assert "Suspended below 0.3" in told
    assert f"approve-floor {PROPOSAL}" in told
    listed = json.loads(run("list", "--json").output)
    assert (listed["floor"], listed["records"][0]["right"]) == (0.3, 1)
    assert listed["floor_proposals"][0]["proposed_by"] == "zhao"


def test_a_floor_is_proposed_with_its_reason(dispatch: Dispatch) -> None:
    told = json.loads(run("propose-floor", "0.2", "--reason", "new cameras", "--json").output)
    ((account, request),) = dispatch.asked
    assert (account, request.floor, request.reason) == ("qian", 0.2, "new cameras")
    assert told == {"ok": True, "proposal": request.command_id}


@pytest.mark.parametrize("floor", ["1.5", "most"])
def test_what_is_no_share_is_not_proposed(dispatch: Dispatch, floor: str) -> None:
    assert run("propose-floor", floor, "--reason", "why").exit_code == 2
    assert dispatch.asked == []


def test_the_second_person_approves_and_reads_the_floor(dispatch: Dispatch) -> None:
    assert "The floor is 0.2." in run("approve-floor", PROPOSAL).output
    assert dispatch.asked[0][1].proposal_id == PROPOSAL


def test_an_approval_that_is_refused_says_why_and_exits_2(dispatch: Dispatch) -> None:
    dispatch.refuses = True
    refused = run("approve-floor", PROPOSAL)
    assert refused.exit_code == 2
    assert "S6" in refused.output


def test_a_suspension_is_lifted_by_name(dispatch: Dispatch) -> None:
    assert run("lift", "device", "cam-1", "--reason", "the lens was cleaned").exit_code == 0
    request = dispatch.asked[0][1]
    assert (request.kind, request.subject, request.reason) == ("device", "cam-1", "the lens was cleaned")
