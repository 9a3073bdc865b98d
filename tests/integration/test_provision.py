"""`alerthub provision infrastructure` against a Kafka and a PostgreSQL that run: it mends what differs, says
what it changed, and a second run changes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from service_process import ROOT

from alerthub import kafka, kafka_administration
from alerthub.embedded.infrastructure import Infrastructure
from alerthub.provision.broker import ADMINISTRATOR
from alerthub.settings import KafkaSettings, PostgresSettings

Provision = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def provision(infrastructure: Infrastructure) -> Provision:
    """Runs the command with further variables and arguments; its exit code and what it says in JSON."""
    postgres = infrastructure.postgres_settings("postgres")
    environment = {
        "PATH": os.environ["PATH"],
        "ALERTHUB_KAFKA__BOOTSTRAP": infrastructure.kafka_settings(ADMINISTRATOR).bootstrap,
        "ALERTHUB_POSTGRES__HOST": postgres.host,
        "ALERTHUB_POSTGRES__PORT": str(postgres.port),
    }

    def run(*arguments: str, **variables: str) -> tuple[int, dict[str, Any]]:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "alerthub.cli.main", "provision", "infrastructure", "--json"),
                *("--secrets", str(infrastructure.folder.secrets), *arguments),
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=ROOT,
            env=environment | variables,
        )
        assert "Traceback" not in done.stderr
        return done.returncode, json.loads(done.stdout)

    return run


def test_where_all_is_as_it_should_be_nothing_is_changed(provision: Provision) -> None:
    assert provision() == (0, {"ok": True, "changes": []})


def test_what_somebody_changed_in_postgresql_is_mended_and_told(
    provision: Provision,
    infrastructure: Infrastructure,
    postgres_settings: Callable[[str], PostgresSettings],
    fresh_schemas: None,
) -> None:
    infrastructure.postgres.execute(
        "ALTER ROLE dispatch SUPERUSER PASSWORD 'another'; DROP SCHEMA watchlist CASCADE;"
        "GRANT CONNECT ON DATABASE alerthub TO PUBLIC;"
    )
    code, told = provision()
    assert code == 0
    assert [(change["subject"], change["action"]) for change in told["changes"]] == [
        ("role dispatch", "changed (NOSUPERUSER)"),
        ("database alerthub", "closed to everybody else"),
        ("schema watchlist", "created"),
        ("role dispatch", "given its password"),
    ]
    assert provision() == (0, {"ok": True, "changes": []})


async def test_a_role_signs_in_with_the_password_of_its_file(
    provision: Provision,
    infrastructure: Infrastructure,
    postgres_settings: Callable[[str], PostgresSettings],
) -> None:
    infrastructure.postgres.execute("ALTER ROLE registry PASSWORD 'another';")
    provision()
    settings = postgres_settings("registry")
    connection = await asyncpg.connect(
        host=settings.host,
        port=settings.port,
        user=settings.role,
        password=settings.password(),
        database=settings.database,
    )
    await connection.close()


def test_a_kafka_user_with_another_password_gets_that_of_its_file(
    provision: Provision, kafka_settings: Callable[[str], KafkaSettings]
) -> None:
    gateway = kafka_settings("gateway")
    with kafka.administrator(kafka_settings(ADMINISTRATOR)) as admin:
        kafka_administration.set_passwords(admin, {"gateway": "another-long-one"})
    assert not kafka_administration.admits(gateway, gateway.password())

    assert provision() == (
        0,
        {
            "ok": True,
            "changes": [{"part": "kafka", "subject": "user gateway", "action": "given its password"}],
        },
    )
    assert kafka_administration.admits(gateway, gateway.password())


def test_an_administrator_whom_postgresql_does_not_know_is_refused_by_name(
    provision: Provision, infrastructure: Infrastructure
) -> None:
    wrong = infrastructure.folder.postgres_password_file("dispatch")
    code, told = provision(ALERTHUB_POSTGRES__PASSWORD_FILE=str(wrong))
    assert (code, told["field"]) == (2, "postgres.role")


def test_other_partitions_than_the_topics_have_are_refused(provision: Provision) -> None:
    code, told = provision("--partitions", "16")
    assert (code, told["field"]) == (2, "topics.observations.partitions")


def test_a_server_that_does_not_answer_is_named_and_may_be_tried_again(
    provision: Provision, free_port: Callable[[], int]
) -> None:
    port = free_port()
    code, told = provision("--wait-seconds", "0", ALERTHUB_POSTGRES__PORT=str(port))
    assert (code, told["retry"]) == (75, True)
    assert f"127.0.0.1:{port}" in told["reason"]


def test_a_folder_without_a_password_is_refused_by_the_files_name(
    provision: Provision, tmp_path: Path
) -> None:
    code, told = provision("--secrets", str(tmp_path))
    assert (code, told["field"]) == (2, "--secrets")
    assert "kafka-gateway.password" in told["expected"]
