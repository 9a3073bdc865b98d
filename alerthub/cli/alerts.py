"""`alerthub alerts`: what the operations office does with alerts, from the command line."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path
from typing import Annotated, Any

import grpc
import typer
from rich.console import Console
from rich.table import Table

from alerthub.api.v1 import alert_pb2, watchlist_pb2, watchlist_pb2_grpc
from alerthub.cli.alerts_view import (
    as_json_object,
    in_both,
    print_alert,
    print_alerts,
    print_changed,
    print_event,
    print_json,
)
from alerthub.cli.context import CALL_SECONDS, DEFAULT_DATA, DataOption, JsonOption, run, signed_in
from alerthub.cli.dispatch_calls import dispatch, office_account
from alerthub.domain.canary import is_canary
from alerthub.domain.errors import NotFound, Refuse, Retry
from alerthub.grpc_errors import error_of

AccountOption = Annotated[
    str,
    typer.Option(
        "--account",
        envvar="ALERTHUB_ACCOUNT",
        help="Who you are; otherwise the first operator or supervisor of the data folder's accounts.json.",
    ),
]
AlertArgument = Annotated[
    str, typer.Argument(help="The alert's id, or a beginning of it that no other open alert has.")
]

_alerts = typer.Typer(
    no_args_is_help=True,
    help="See alerts, confirm or reject them. Identifying data is seen with `open` only.",
)


def register(app: typer.Typer) -> None:
    """Adds `alerts list|show|open|confirm|reject|assign|watch`."""
    app.add_typer(_alerts, name="alerts")


@_alerts.command("list")
def list_alerts(
    *,
    status: Annotated[
        list[str] | None,
        typer.Option(
            help="open, awaiting_confirmation, dispatching, accepted, escalated, closed, rejected or"
            " cancelled. Repeatable. Default: all."
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many, newest first.")] = 100,
    account: AccountOption = "",
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """List alerts, newest first.

    Examples:

    alerthub alerts list --status awaiting_confirmation

    alerthub alerts list --status open --json
    """

    async def work() -> list[alert_pb2.Alert]:
        async with dispatch(data, account) as stub:
            return await _listed(stub, _statuses(status or []), limit)

    found = run(work(), as_json=as_json)
    if as_json:
        print_json({"ok": True, "alerts": [as_json_object(alert) for alert in found]})
        return
    print_alerts(found)
    if not found:
        typer.echo("No alert.", err=True)


@_alerts.command("show")
def show(
    *,
    alert_id: AlertArgument,
    account: AccountOption = "",
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Show one alert with its sightings, its units and why they were chosen; without identifying data.

    Example: alerthub alerts show 5f1c
    """

    async def work() -> alert_pb2.GetAlertResponse:
        async with dispatch(data, account) as stub:
            return await _get(stub, alert_id)

    found = run(work(), as_json=as_json)
    if as_json:
        print_json({"ok": True, "alert": as_json_object(found.alert)})
        return
    print_alert(found)


@_alerts.command("open")
def open_alert(
    *,
    alert_id: AlertArgument,
    reason: Annotated[str, typer.Option(help="Why you look; recorded before you are shown anything.")],
    picture: Annotated[
        Path | None, typer.Option(help="Where to write the picture; for your eyes only (mode 0600).")
    ] = None,
    account: AccountOption = "",
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """See the identifying data of an alert: the plate or document, make, colour and contact. On the record.

    Example: alerthub alerts open 5f1c --reason "compare with the picture" --picture /tmp/seen.jpg
    """

    async def work() -> watchlist_pb2.OpenAlertResponse:
        async with dispatch(data, account) as stub:
            found = await _get(stub, alert_id)
        if not found.sealed_details and not found.sealed_picture:
            why = in_both(found.sealed_missing_reason_chinese, found.sealed_missing_reason)
            raise Refuse("alert_id", f"an alert with evidence: {why or 'it has none'}")
        async with signed_in(data, office_account(data, account), "watchlist") as channel:
            return await watchlist_pb2_grpc.WatchlistServiceStub(channel).OpenAlert(
                watchlist_pb2.OpenAlertRequest(
                    alert_id=found.alert.alert_id,
                    entry_id=found.alert.entry_id,
                    rule_id=found.alert.rule_id,
                    sealed_details=found.sealed_details,
                    sealed_picture=found.sealed_picture,
                    reason=reason,
                ),
                timeout=CALL_SECONDS,
            )

    opened = run(work(), as_json=as_json)
    if picture is not None and opened.picture:
        picture.touch(mode=0o600)
        picture.write_bytes(opened.picture)
    details = opened.details
    values = {
        "identifier": details.identifier,
        "make": details.make,
        "colour": details.colour,
        "plate_colour": details.plate_colour,
        "case_number": details.case_number,
        "issuing_authority": details.issuing_authority,
        "authority_contact": details.authority_contact,
        "instruction": details.instruction.english or details.instruction.chinese,
    }
    if as_json:
        print_json({"ok": True, "details": values, "picture_bytes": len(opened.picture)})
        return
    table = Table(show_header=False)
    for name, value in values.items():
        if value:
            table.add_row(name.replace("_", " "), value)
    table.add_row("picture", f"{len(opened.picture)} bytes" if opened.picture else "none")
    Console().print(table)


@_alerts.command("confirm")
def confirm(
    *,
    alert_id: AlertArgument,
    note: Annotated[str, typer.Option(help="What you compared; kept in the audit log.")] = "",
    seen_version: Annotated[
        int, typer.Option(min=0, help="The version that you looked at. 0: as it is now.")
    ] = 0,
    account: AccountOption = "",
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Confirm an alert against its evidence: it goes to the nearest unit. A person alert without a picture
    needs a supervisor.

    Example: alerthub alerts confirm 5f1c --note "plate and colour agree" --account operator
    """

    async def work() -> alert_pb2.Alert:
        async with dispatch(data, account) as stub:
            request = alert_pb2.ConfirmAlertRequest(
                command_id=str(uuid.uuid4()),
                alert_id=await _whole_id(stub, alert_id),
                alert_version=seen_version,
                note=note,
            )
            answer: alert_pb2.ConfirmAlertResponse = await stub.ConfirmAlert(request, timeout=CALL_SECONDS)
            return answer.alert

    print_changed(run(work(), as_json=as_json), as_json=as_json)


@_alerts.command("reject")
def reject(
    *,
    alert_id: AlertArgument,
    reason: Annotated[str, typer.Option(help="Why; kept in the audit log.")],
    account: AccountOption = "",
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Reject an alert whose evidence does not hold. The same read at the same device is quiet for its
    cooldown.

    Example: alerthub alerts reject 5f1c --reason "another colour"
    """

    async def work() -> alert_pb2.Alert:
        async with dispatch(data, account) as stub:
            request = alert_pb2.RejectAlertRequest(
                command_id=str(uuid.uuid4()), alert_id=await _whole_id(stub, alert_id), reason=reason
            )
            answer: alert_pb2.RejectAlertResponse = await stub.RejectAlert(request, timeout=CALL_SECONDS)
            return answer.alert

    print_changed(run(work(), as_json=as_json), as_json=as_json)


@_alerts.command("assign")
def assign(
    *,
    alert_id: AlertArgument,
    unit_id: Annotated[str, typer.Argument(help="The unit, on shift.")],
    account: AccountOption = "",
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Send another unit than the rules chose.

    Example: alerthub alerts assign 5f1c car-7
    """

    async def work() -> alert_pb2.Alert:
        async with dispatch(data, account) as stub:
            request = alert_pb2.AssignUnitRequest(
                command_id=str(uuid.uuid4()), alert_id=await _whole_id(stub, alert_id), unit_id=unit_id
            )
            answer: alert_pb2.AssignUnitResponse = await stub.AssignUnit(request, timeout=CALL_SECONDS)
            return answer.alert

    print_changed(run(work(), as_json=as_json), as_json=as_json)


@_alerts.command("watch")
def watch(
    *,
    seconds: Annotated[float, typer.Option(min=0, help="Stop after so long. 0: until Ctrl-C.")] = 0.0,
    account: AccountOption = "",
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Watch alerts live: first what is open, then every change. One line, or one JSON object, each.

    Examples:

    alerthub alerts watch

    alerthub alerts watch --json --seconds 60
    """

    async def work() -> None:
        try:
            async with asyncio.timeout(seconds or None):
                await _watch(data, account, as_json=as_json)
        except TimeoutError:
            return

    try:
        run(work(), as_json=as_json)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


async def _watch(data: Path, account: str, *, as_json: bool) -> None:
    """Signs in again when the token ends, and goes on where it was."""
    token = ""
    while True:
        try:
            async with dispatch(data, account) as stub:
                request = alert_pb2.WatchAlertsRequest(resume_token=token)
                async for message in stub.WatchAlerts(request):
                    token = message.resume_token or token
                    if message.HasField("event") and not is_canary(message.event.alert.category):
                        print_event(message.event, as_json=as_json)
                    elif message.snapshot_complete and not as_json:
                        typer.echo("-- live --", err=True)
        except Retry as error:
            typer.echo(f"alerthub: {error}; trying again", err=True)
            await asyncio.sleep(1)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAUTHENTICATED:
                raise error_of(error) from None


async def _listed(
    stub: Any, statuses: list[alert_pb2.AlertStatus.ValueType], limit: int
) -> list[alert_pb2.Alert]:
    request = alert_pb2.ListAlertsRequest(statuses=statuses, page_size=min(limit, 500))
    found: list[alert_pb2.Alert] = []
    while len(found) < limit:
        page = await stub.ListAlerts(request, timeout=CALL_SECONDS)
        found += [each for each in page.alerts if not is_canary(each.category)]
        request.page_token = page.next_page_token
        if not page.next_page_token:
            break
    return found[:limit]


async def _whole_id(stub: Any, beginning: str) -> str:
    """The id of the one alert that begins so."""
    if len(beginning) >= 32:
        return beginning
    found = [each.alert_id for each in await _listed(stub, [], 1_000) if each.alert_id.startswith(beginning)]
    if len(found) == 1:
        return str(found[0])
    raise NotFound("alert_id", "an alert" if not found else "a longer beginning: several alerts begin so")


async def _get(stub: Any, beginning: str) -> alert_pb2.GetAlertResponse:
    request = alert_pb2.GetAlertRequest(alert_id=await _whole_id(stub, beginning))
    found: alert_pb2.GetAlertResponse = await stub.GetAlert(request, timeout=CALL_SECONDS)
    return found


def _statuses(names: list[str]) -> list[alert_pb2.AlertStatus.ValueType]:
    found: list[alert_pb2.AlertStatus.ValueType] = []
    for name in names:
        if name == "open":
            found += [
                alert_pb2.ALERT_STATUS_AWAITING_CONFIRMATION,
                alert_pb2.ALERT_STATUS_DISPATCHING,
                alert_pb2.ALERT_STATUS_ACCEPTED,
                alert_pb2.ALERT_STATUS_ESCALATED,
            ]
            continue
        wire = f"ALERT_STATUS_{name.upper().replace('-', '_')}"
        if wire not in alert_pb2.AlertStatus.DESCRIPTOR.values_by_name or wire == "ALERT_STATUS_UNSPECIFIED":
            raise Refuse(
                "--status",
                "open, awaiting_confirmation, dispatching, accepted, escalated, closed, rejected, cancelled",
            )
        found.append(alert_pb2.AlertStatus.Value(wire))
    return found
