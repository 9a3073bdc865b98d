"""`alerthub precision`: how often rules, sources, devices and operators were right, and the floor that
suspends."""

from __future__ import annotations

import json
import uuid
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from alerthub.api.v1 import alert_pb2
from alerthub.cli.context import (
    CALL_SECONDS,
    DEFAULT_DATA,
    AccountOption,
    DataOption,
    JsonOption,
    run,
)
from alerthub.cli.dispatch_calls import dispatch

_precision = typer.Typer(
    no_args_is_help=True,
    help="How often alerts were right, and the floor below which a rule, source or device is suspended.",
)


def register(app: typer.Typer) -> None:
    """Adds `precision list|lift|propose-floor|approve-floor`."""
    app.add_typer(_precision, name="precision")


@_precision.command("list")
def list_command(
    *, account: AccountOption, data: DataOption = DEFAULT_DATA, as_json: JsonOption = False
) -> None:
    """List what was measured, what is suspended first; then the floor and what is proposed for it."""

    async def work() -> alert_pb2.ListPrecisionResponse:
        async with dispatch(data, account) as stub:
            found: alert_pb2.ListPrecisionResponse = await stub.ListPrecision(
                alert_pb2.ListPrecisionRequest(), timeout=CALL_SECONDS
            )
            return found

    found = run(work(), as_json=as_json)
    if as_json:
        typer.echo(json.dumps(_as_object(found), ensure_ascii=False))
        return
    table = Table("kind", "name", "right", "at best", "")
    for each in found.records:
        right = f"{each.right} of {each.outcomes}"
        table.add_row(each.kind, each.subject, right, f"{each.upper_bound:.2f}", _suspended(each))
    Console().print(table)
    typer.echo(f"Suspended below {found.floor:g} with at least 20 outcomes.")
    for proposal in found.floor_proposals:
        typer.echo(
            f"{proposal.proposed_by} proposes {proposal.floor:g}: {proposal.reason}. A second supervisor"
            f" approves it: alerthub precision approve-floor {proposal.proposal_id} --account THEIRS"
        )


def _suspended(record: alert_pb2.PrecisionRecord) -> str:
    return "suspended" if record.suspended else ""


def _as_object(found: alert_pb2.ListPrecisionResponse) -> dict[str, Any]:
    return {
        "ok": True,
        "floor": found.floor,
        "records": [
            {
                "kind": each.kind,
                "subject": each.subject,
                "outcomes": each.outcomes,
                "right": each.right,
                "upper_bound": each.upper_bound,
                "suspended": each.suspended,
            }
            for each in found.records
        ],
        "floor_proposals": [
            {
                "proposal": each.proposal_id,
                "floor": each.floor,
                "reason": each.reason,
                "proposed_by": each.proposed_by,
                "proposed_at_ms": each.proposed_at_ms,
            }
            for each in found.floor_proposals
        ],
    }


@_precision.command("lift")
def lift_command(
    kind: Annotated[str, typer.Argument(help="rule, source or device.")],
    name: Annotated[str, typer.Argument(help="Which one.")],
    *,
    reason: Annotated[str, typer.Option("--reason", help="What was found; it goes into the audit log.")],
    account: AccountOption,
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Lift a suspension after a supervisor has looked: counting begins anew."""

    async def work() -> None:
        async with dispatch(data, account) as stub:
            request = alert_pb2.LiftSuspensionRequest(
                command_id=str(uuid.uuid4()), kind=kind, subject=name, reason=reason
            )
            await stub.LiftSuspension(request, timeout=CALL_SECONDS)

    run(work(), as_json=as_json)
    typer.echo(json.dumps({"ok": True}) if as_json else f"{kind} {name} is no longer suspended.")


@_precision.command("propose-floor")
def propose_command(
    floor: Annotated[float, typer.Argument(min=0.0, max=1.0, help="From 0 (suspends nothing) to 1.")],
    *,
    reason: Annotated[str, typer.Option("--reason", help="Why; it goes into the audit log.")],
    account: AccountOption,
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Propose another floor. It is in force once a second supervisor approved it."""

    async def work() -> str:
        async with dispatch(data, account) as stub:
            request = alert_pb2.ProposePrecisionFloorRequest(
                command_id=str(uuid.uuid4()), floor=floor, reason=reason
            )
            return str((await stub.ProposePrecisionFloor(request, timeout=CALL_SECONDS)).proposal_id)

    proposal = run(work(), as_json=as_json)
    if as_json:
        typer.echo(json.dumps({"ok": True, "proposal": proposal}))
    else:
        typer.echo(
            "Proposed. A second supervisor approves it: alerthub precision approve-floor"
            f" {proposal} --account THEIRS"
        )


@_precision.command("approve-floor")
def approve_command(
    proposal: Annotated[str, typer.Argument(help="The proposal's id.")],
    *,
    account: AccountOption,
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Approve the floor that somebody else proposed. It counts from the next outcome on."""

    async def work() -> float:
        async with dispatch(data, account) as stub:
            request = alert_pb2.ApprovePrecisionFloorRequest(
                command_id=str(uuid.uuid4()), proposal_id=proposal
            )
            return float((await stub.ApprovePrecisionFloor(request, timeout=CALL_SECONDS)).floor)

    floor = run(work(), as_json=as_json)
    if as_json:
        typer.echo(json.dumps({"ok": True, "floor": floor}))
    else:
        typer.echo(f"The floor is {floor:g}.")
