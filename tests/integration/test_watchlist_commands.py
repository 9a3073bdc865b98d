"""The command line on a running registry and a running watchlist process: two persons, clear refusals, no
identifier."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import registry_hub
from begun_anew import begin_anew
from registry_hub import RunningRegistry, command_line, data_folder, running_registry
from service_process import ROOT, Process
from typer.testing import Result

from alerthub.cli import watchlist
from alerthub.embedded.environment import service_environment
from alerthub.embedded.infrastructure import Infrastructure
from alerthub.embedded.processes import free_ports
from services.watchlist.service import OWNED_TOPICS

PLATE = "冀RA8HK5"
PERSONS = {
    "lin": ["ROLE_WATCHLIST_EDITOR", "ROLE_WATCHLIST_APPROVER"],
    "chen": ["ROLE_WATCHLIST_APPROVER"],
}
GROUNDS = (
    *("--case-number", "A-2026-17", "--legal-basis", "CPL 117", "--authority", "Traffic police"),
    *("--contact", "0311-5550100", "--instruction-zh", "拦下", "--instruction-en", "Stop the vehicle"),
    *("--valid-days", "30"),
)

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def registry(
    infrastructure: Infrastructure, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningRegistry]:
    with pytest.MonkeyPatch.context() as patch:
        for account, roles in PERSONS.items():
            patch.setitem(registry_hub.ACCOUNTS, account, roles)
        yield from running_registry(infrastructure, tmp_path_factory.mktemp("registry"))


@pytest.fixture(scope="module")
def watchlist_log(
    registry: RunningRegistry, infrastructure: Infrastructure, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, int]]:
    """The service as a process of its own: its log, and its port for persons."""
    begin_anew(infrastructure, "watchlist", OWNED_TOPICS)
    mutual, person, operations = free_ports(3)
    environment = service_environment(
        infrastructure.folder,
        "watchlist",
        kafka=infrastructure.kafka_settings("watchlist"),
        postgres_port=infrastructure.postgres_settings("").port,
        ports={"grpc_port": mutual, "grpc_person_port": person, "operations_port": operations},
    )
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), environment.get("PYTHONPATH", "")])
    folder = tmp_path_factory.mktemp("watchlist")
    environment["ALERTHUB_KEYS_FOLDER"] = str(folder / "keys")
    log_file = folder / "watchlist.log"
    process = Process("services.watchlist", environment, log_file)
    process.start()
    try:
        process.wait_until_ready(60)
        yield log_file, person
    finally:
        assert process.stop() == 0


@pytest.fixture(scope="module")
def run(
    registry: RunningRegistry, watchlist_log: tuple[Path, int], tmp_path_factory: pytest.TempPathFactory
) -> Run:
    data = data_folder(
        registry, tmp_path_factory.mktemp("data"), watchlist_person=f"127.0.0.1:{watchlist_log[1]}"
    )
    return partial(command_line(data, watchlist.register), "watchlist")


def as_json(result: Result) -> dict[str, Any]:
    return dict(json.loads(result.stdout))


def added(run: Run) -> str:
    result = run("add", "-", *GROUNDS, "--account", "lin", "--json", answer=f"{PLATE}\n")
    assert result.exit_code == 0, result.output
    return str(as_json(result)["entry_ids"][0])


def test_an_entry_is_entered_by_one_and_approved_by_another(run: Run) -> None:
    entry_id = added(run)
    approved = as_json(run("approve", entry_id, "--account", "chen", "--json"))
    assert approved["entries"][0]["entry_id"] == entry_id
    # Waited for: from now on reads match.
    assert approved["entries"][0]["active_from_ms"] <= time.time_ns() // 1_000_000
    listed = as_json(run("list", "--status", "active", "--account", "chen", "--json"))
    assert [entry["approved_by"] for entry in listed["entries"] if entry["entry_id"] == entry_id] == ["chen"]


def test_whoever_entered_it_is_refused_as_approver_with_one_sentence(run: Run) -> None:
    refused = run("approve", added(run), "--account", "lin")
    assert refused.exit_code == 2
    assert "approval by another person" in refused.stderr
    assert refused.stdout == ""


def test_an_entry_is_withdrawn_with_a_reason(run: Run) -> None:
    entry_id = added(run)
    assert run("withdraw", entry_id, "--reason", "returned", "--account", "lin").exit_code == 0
    again = run("withdraw", entry_id, "--reason", "returned", "--account", "lin", "--json")
    assert again.exit_code == 2
    assert as_json(again)["field"] == "entry_id"


def test_what_is_missing_is_named(run: Run) -> None:
    refused = run("add", PLATE, "--valid-days", "30", "--account", "lin", "--json")
    assert refused.exit_code == 2
    assert "case_number" in as_json(refused)["field"]


@pytest.mark.parametrize("end", [("--valid-days", "x"), ("--valid-until", "2030-01-01"), ()])
def test_an_end_that_cannot_be_meant_is_refused(run: Run, end: tuple[str, ...]) -> None:
    refused = run("add", PLATE, *GROUNDS[:-2], *end, "--account", "lin", "--json")
    assert (refused.exit_code, as_json(refused)["field"]) == (2, "--valid-days")


def test_an_identifier_is_read_from_a_file(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "plate.txt"
    path.write_text(f"{PLATE}\n", encoding="utf-8")
    result = run("add", "--identifier-file", str(path), *GROUNDS, "--account", "lin", "--json")
    assert len(as_json(result)["entry_ids"]) == 1


YAML = """
category: stolen_vehicle
case_number: B-{number}
legal_basis: CPL 117
issuing_authority: Traffic police
authority_contact: 0311-5550100
instruction: {{chinese: 拦下, english: Stop the vehicle}}
valid_days: 30
identifiers:
  - {{kind: plate, text: {plate}, masks: [exact, confusable]}}
"""


def test_a_file_of_entries_is_entered_as_a_whole_and_waits_for_approval(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "entries.yaml"
    path.write_text("---".join(YAML.format(number=number, plate=PLATE) for number in range(3)))
    entry_ids = as_json(run("add", "-f", str(path), "--account", "lin", "--json"))["entry_ids"]
    listed = as_json(run("list", "--status", "proposed", "--account", "lin", "--json"))["entries"]
    assert {entry["entry_id"] for entry in listed} >= set(entry_ids)
    assert len(entry_ids) == 3


def test_a_file_with_one_wrong_entry_changes_nothing_and_names_it(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "entries.yaml"
    case = f"C-{uuid.uuid4().hex}"
    path.write_text("---".join(YAML.format(number=case, plate=plate) for plate in (PLATE, "noPlate")))
    refused = run("add", "-f", str(path), "--account", "lin", "--json")
    assert (refused.exit_code, as_json(refused)["field"]) == (2, "entries[1].identifiers[0].text")
    listed = as_json(run("list", "--account", "lin", "--json"))["entries"]
    assert not [entry for entry in listed if case in entry["case_number"]]


def test_a_document_with_an_unknown_field_is_refused(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "entries.yaml"
    path.write_text(YAML.format(number=1, plate=PLATE) + "face: x\n")
    refused = run("add", "-f", str(path), "--account", "lin", "--json")
    assert (refused.exit_code, as_json(refused)["field"]) == (2, "entries[0].face")


def test_categories_say_what_is_confirmed_first(run: Run) -> None:
    found = as_json(run("categories", "--account", "lin", "--json"))["categories"]
    policies = {each["category"]: each["policy"] for each in found}
    assert policies["wanted_person"] == "confirm_first"
    assert all(each["policy"] == "confirm_first" for each in found if each["names_person"])


def test_no_identifier_is_in_the_services_log(run: Run, watchlist_log: tuple[Path, int]) -> None:
    added(run)
    text = watchlist_log[0].read_text(encoding="utf-8")
    assert "grpc_listening" in text
    for spelled in (PLATE, "RA8HK5", "\\u5180", PLATE.encode().hex()):
        assert spelled not in text
