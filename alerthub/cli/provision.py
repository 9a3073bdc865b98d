"""`alerthub provision`: what a hub in containers needs before its services start."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from alerthub.cli.context import DEFAULT_DATA, DataOption, JsonOption, fail
from alerthub.cli.role_words import ROLE_OF_WORD
from alerthub.domain.accounts import ACCOUNT_PATTERN
from alerthub.domain.errors import AlertHubError, Refuse, Retry
from alerthub.embedded.folder import HubFolder
from alerthub.provision import broker, database, pki
from alerthub.provision.accounts import FIRST_ADMINISTRATORS
from alerthub.provision.changes import Change
from alerthub.provision.cluster import ensure_cluster
from alerthub.provision.database import ensure_database
from alerthub.provision.files import FilesPlan, provision_files
from alerthub.settings import ServiceSettings
from alerthub.topics import MINUTE_MS, PRINCIPALS, TopicSettings, build_topics

Result = TypeVar("Result")

_AGAIN_SECONDS = 1.0
_TOLD_EVERY_SECONDS = 5.0

commands = typer.Typer(
    no_args_is_help=True, help="Prepare files, Kafka and PostgreSQL before services start."
)


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(commands, name="provision")


@commands.command(
    "files",
    epilog="Examples:  alerthub provision files --data hub --shares shares   |   alerthub provision files"
    " --data hub --host 'alerthub-{name}' --name gateway=cameras.city.example --account chief=registry-editor"
    " --account deputy=registry-editor",
)
def files_command(
    *,
    data: DataOption = DEFAULT_DATA,
    shares: Annotated[
        Path | None, typer.Option(help="Where each service's share goes, a folder a service.")
    ] = None,
    host: Annotated[
        str, typer.Option(help="By which name services reach each other; {name} is the service's.")
    ] = "{name}",
    names: Annotated[
        list[str] | None,
        typer.Option(
            "--name",
            envvar="ALERTHUB_NAMES",
            help="NAME=HOST: a further name or address in a certificate, as outsiders use it; repeatable.",
        ),
    ] = None,
    accounts: Annotated[
        list[str] | None,
        typer.Option(
            "--account",
            envvar="ALERTHUB_FIRST_ACCOUNTS",
            help="NAME=ROLE[,ROLE]: a first account, with a random password in accounts.json; repeatable."
            " By default two administrators, who make the others.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make authority, certificates, passwords and first accounts, and deal out what each service is given.

    What lies in the folder already is kept: put an authority of your own (pki/ca.pem, pki/authority.key) or
    passwords (secrets/kafka-gateway.password, ...) there first. A second run changes nothing.
    """
    try:
        if "{name}" not in host or set(host.replace("{name}", "")) & set("{}"):
            raise Refuse("--host", "a pattern with {name} in it, and no other braces")
        plan = FilesPlan(host=host, hosts=_hosts(names or []), accounts=_accounts(accounts or []))
        changes = provision_files(HubFolder(data), plan, shares=shares, now=pki.utc_now())
    except AlertHubError as error:
        fail(error, as_json=as_json)
    except OSError as error:
        refused = Refuse(str(error.filename), f"a file or folder that may be written ({error.strerror})")
        fail(refused, as_json=as_json)
    _show(changes, as_json=as_json)


@commands.command(
    "infrastructure",
    epilog="Example:  ALERTHUB_KAFKA__BOOTSTRAP=kafka:9093 ALERTHUB_KAFKA__CA_FILE=ca.pem"
    " ALERTHUB_POSTGRES__HOST=db ALERTHUB_POSTGRES__CA_FILE=ca.pem alerthub provision infrastructure"
    " --secrets shares/provision --partitions 128 --replicas 3 --minimum-in-sync-replicas 2",
)
def infrastructure_command(
    *,
    secrets: Annotated[
        Path, typer.Option(help="The share `provision`: kafka-USER.password and postgres-ROLE.password.")
    ],
    partitions: Annotated[
        int, typer.Option(envvar="ALERTHUB_PARTITIONS", min=1, help="Of streaming topics, for their life.")
    ] = TopicSettings().partitions,
    replicas: Annotated[int, typer.Option(envvar="ALERTHUB_REPLICAS", min=1)] = 1,
    minimum_in_sync_replicas: Annotated[
        int, typer.Option(envvar="ALERTHUB_MINIMUM_IN_SYNC_REPLICAS", min=1)
    ] = 1,
    retention_minutes: Annotated[
        int,
        typer.Option(
            envvar="ALERTHUB_RETENTION_MINUTES",
            help="After how long what did not hit is forgotten. Above 24 h (1440 minutes) is refused.",
        ),
    ] = 60,
    wait_seconds: Annotated[float, typer.Option(help="For Kafka and PostgreSQL that are starting.")] = 120.0,
    as_json: JsonOption = False,
) -> None:
    """Make Kafka's users, topics and access rules and PostgreSQL's database, roles and schemas what the hub
    needs.

    Where they are is told by the variables that services read (ALERTHUB_KAFKA__..., ALERTHUB_POSTGRES__...);
    the administrators are `admin` and `postgres` unless ALERTHUB_KAFKA__USERNAME or ALERTHUB_POSTGRES__ROLE
    say otherwise. Shows what it changed; a second run changes nothing.
    """
    try:
        topics = build_topics(
            TopicSettings(
                partitions=partitions,
                replicas=replicas,
                minimum_in_sync_replicas=minimum_in_sync_replicas,
                observations_retention_ms=retention_minutes * MINUTE_MS,
                passages_retention_ms=retention_minutes * MINUTE_MS,
            )
        )
        users = {name: _password(secrets, f"kafka-{name}.password") for name in PRINCIPALS}
        roles = {name: _password(secrets, f"postgres-{name}.password") for name in database.ROLES}
        told = ServiceSettings()
        kafka = told.kafka.model_copy(
            update={
                "username": told.kafka.username or broker.ADMINISTRATOR,
                "password_file": told.kafka.password_file or secrets / "kafka-admin.password",
            }
        )
        postgres = told.postgres.model_copy(
            update={
                "role": told.postgres.role or database.ADMINISTRATOR,
                "password_file": told.postgres.password_file or secrets / "postgres-postgres.password",
            }
        )
        deadline = time.monotonic() + wait_seconds
        changes = _patiently(lambda: asyncio.run(ensure_database(postgres, roles)), deadline)
        changes += _patiently(
            lambda: ensure_cluster(kafka, users, table=topics, replace_passwords=True), deadline
        )
    except AlertHubError as error:
        fail(error, as_json=as_json)
    except OSError as error:
        fail(Refuse(str(error.filename), f"a file that can be read ({error.strerror})"), as_json=as_json)
    _show(changes, as_json=as_json)


def _patiently(work: Callable[[], Result], deadline: float) -> Result:
    """The result of `work`, tried again until the deadline while a server does not answer."""
    told = time.monotonic()
    while True:
        try:
            return work()
        except Retry as error:
            now = time.monotonic()
            if now > deadline:
                raise
            if now - told > _TOLD_EVERY_SECONDS:
                told = now
                typer.echo(f"waiting: {error.reason}", err=True)
        time.sleep(_AGAIN_SECONDS)


def _password(secrets: Path, name: str) -> str:
    try:
        password = (secrets / name).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise Refuse("--secrets", f"a folder with a readable {name} ({error.strerror})") from None
    if not password:
        raise Refuse("--secrets", f"a password in {name}; it is empty")
    return password


def _hosts(names: Sequence[str]) -> dict[str, list[str]]:
    hosts: dict[str, list[str]] = {}
    for text in names:
        name, equals, host = text.partition("=")
        if not (name and equals and host):
            raise Refuse("--name", "NAME=HOST, such as gateway=cameras.city.example")
        hosts.setdefault(name, []).append(host)
    return hosts


def _accounts(wanted: Sequence[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    accounts: dict[str, tuple[str, ...]] = {}
    for text in wanted:
        name, equals, roles = text.partition("=")
        if not (name and equals and roles):
            raise Refuse("--account", "NAME=ROLE[,ROLE], such as chief=registry-editor")
        if not re.fullmatch(ACCOUNT_PATTERN, name):
            raise Refuse("--account", "a name of small letters, digits, dots, hyphens and underscores")
        if name in accounts:
            raise Refuse("--account", f"each person once: {name} comes twice")
        accounts[name] = tuple(_role(role) for role in roles.split(","))
    if len(accounts) == 1:
        raise Refuse("--account", "at least two persons: nobody does anything that matters alone")
    return tuple(accounts.items()) or FIRST_ADMINISTRATORS


def _role(name: str) -> str:
    role = ROLE_OF_WORD.get(name.lower().replace("_", "-"))
    if role is None:
        raise Refuse("--account", f"roles among {', '.join(ROLE_OF_WORD)}")
    return role


def _show(changes: Sequence[Change], *, as_json: bool) -> None:
    if as_json:
        answer = {"ok": True, "changes": [asdict(change) for change in changes]}
        typer.echo(json.dumps(answer, ensure_ascii=False))
        return
    for change in changes:
        typer.echo(change.sentence())
    typer.echo(f"{len(changes)} changes." if changes else "Everything is as it should be.")
