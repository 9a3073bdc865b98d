"""The command line on a running registry: the documented city applied, secrets, codes, two persons."""

from __future__ import annotations

import hashlib
import json
import re
import stat
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from registry_hub import RunningRegistry, command_line, data_folder, running_registry
from service_process import ROOT
from typer.testing import Result

from alerthub.cli import apply
from alerthub.embedded.folder import HubFolder
from alerthub.embedded.infrastructure import Infrastructure

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def registry(
    infrastructure: Infrastructure, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningRegistry]:
    yield from running_registry(infrastructure, tmp_path_factory.mktemp("registry"))


@pytest.fixture(scope="module")
def data(registry: RunningRegistry, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return data_folder(registry, tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def run(data: Path) -> Run:
    return command_line(data, apply.register)


@pytest.fixture(scope="module")
def city(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example of docs/resources.md, applied."""
    text = (ROOT / "docs" / "resources.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    path = tmp_path_factory.mktemp("city") / "city.yaml"
    path.write_text(example, encoding="utf-8")
    assert run("apply", "-f", str(path), "--yes").exit_code == 0
    return path


def as_json(result: Result) -> dict[str, Any]:
    return dict(json.loads(result.stdout))


def test_the_documented_city_is_applied_and_stays_as_it_is(run: Run, city: Path) -> None:
    again = run("apply", "-f", str(city), "--yes", "--json")
    assert again.exit_code == 0
    answer = as_json(again)
    assert {change["action"] for change in answer["changes"]} == {"unchanged"}
    assert len(answer["changes"]) == 11


def test_the_difference_is_shown_before_anything_changes(run: Run, city: Path) -> None:
    changed = city.with_name("changed.yaml")
    changed.write_text(city.read_text().replace("dwell_seconds: 240", "dwell_seconds: 300"))
    refused = run("apply", "-f", str(changed), answer="n\n")
    assert refused.exit_code == 1
    assert "~ rule bay-dwell  version 2" in refused.output
    assert "dwell_seconds 240" in refused.output
    assert "dwell_seconds 300" in refused.output
    assert "0 to create, 1 to change, 10 as they are." in refused.output
    assert (
        as_json(run("apply", "-f", str(city), "--dry-run", "--json"))["changes"][7]["action"] == "unchanged"
    )


def test_a_dry_run_changes_nothing(run: Run, city: Path, registry: RunningRegistry) -> None:
    new = city.with_name("new.yaml")
    new.write_text("kind: Jurisdiction\nid: dry\nname: {english: dry}\n")
    assert run("apply", "-f", str(new), "--dry-run").exit_code == 0
    assert registry.sql("SELECT count(*) FROM resource WHERE id = 'dry'") == "0"


def test_a_refusal_names_the_document_and_changes_nothing(
    run: Run, city: Path, registry: RunningRegistry
) -> None:
    bad = city.with_name("bad.yaml")
    bad.write_text(
        "kind: Jurisdiction\nid: good\nname: {english: good}\n---\n"
        "kind: Jurisdiction\nid: bad\nname: {english: bad}\nparent: nowhere\n"
    )
    result = run("apply", "-f", str(bad), "--yes")
    assert result.exit_code == 2
    assert "document 2 (Jurisdiction bad): parent_id: a jurisdiction that exists" in result.output
    assert registry.sql("SELECT count(*) FROM resource WHERE id IN ('good', 'bad')") == "0"
    machine = as_json(run("apply", "-f", str(bad), "--yes", "--json"))
    assert (machine["ok"], machine["field"]) == (False, "document 2 (Jurisdiction bad): parent_id")


def test_a_file_with_an_alias_is_refused(run: Run, city: Path) -> None:
    bad = city.with_name("alias.yaml")
    bad.write_text("kind: Jurisdiction\nid: &id x\nname: {english: *id}\n")
    result = run("apply", "-f", str(bad), "--yes")
    assert result.exit_code == 2
    assert "line 2: no anchor" in result.output


def test_a_secret_goes_into_a_file_for_its_owner_alone(
    run: Run, city: Path, data: Path, registry: RunningRegistry
) -> None:
    result = run("devices", "secret", "cam-station-1")
    assert result.exit_code == 0
    path = data / "devices" / "cam-station-1.secret"
    secret = path.read_text().strip()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert secret not in result.output
    kept = registry.sql(
        "SELECT encode(secret_sha256, 'hex') FROM device_secret WHERE device_id = 'cam-station-1'"
    )
    assert kept == hashlib.sha256(secret.encode()).hexdigest()


def test_a_secret_for_a_device_that_does_not_exist_is_refused(run: Run) -> None:
    assert run("devices", "secret", "no-such-camera").exit_code == 2
    assert run("devices", "secret", "../../etc/passwd").exit_code == 2


def test_a_code_for_a_terminal_is_printed(run: Run, city: Path) -> None:
    result = run("terminals", "enrol-code", "terminal-7", "--unit", "patrol-12")
    assert result.exit_code == 0
    assert re.fullmatch(r"([A-Z2-7]{4}-){3}[A-Z2-7]{4}", result.stdout.strip())


def test_two_persons_make_an_account_and_a_third_ends_it(run: Run) -> None:
    name = f"wang.{uuid.uuid4().hex[:8]}"
    proposed = as_json(run("accounts", "propose", name, "--role", "officer", "--account", "editor", "--json"))
    alone = run("accounts", "approve", proposed["proposal"], "--account", "editor")
    assert alone.exit_code == 2
    assert "S6" in alone.output
    approved = as_json(run("accounts", "approve", proposed["proposal"], "--account", "editor-2", "--json"))
    assert approved["first_password"]
    assert run("revoke", "--person", name, "--reason", "left", "--account", "supervisor").exit_code == 0
    assert run("revoke", "--person", "nobody", "--reason", "left").exit_code == 2
    assert run("revoke", "--reason", "left").exit_code == 2


def test_a_person_changes_their_own_password(
    run: Run, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = tmp_path / "chosen"
    chosen.write_text("a staple that nobody corrected\n", encoding="utf-8")
    monkeypatch.setenv("ALERTHUB_NEW_PASSWORD_FILE", str(chosen))
    changed = as_json(run("accounts", "change-password", "--account", "editor-3", "--json"))
    assert changed == {"ok": True}
    assert "editor-3" not in HubFolder(data).accounts_file.read_text(encoding="utf-8")
    # The file named for the present password has the one of before no more.
    again = run("accounts", "change-password", "--account", "editor-3")
    assert again.exit_code == 2
    monkeypatch.setenv("ALERTHUB_PASSWORD_FILE", str(chosen))
    code = run("terminals", "enrol-code", "T9", "--unit", "nobody", "--account", "editor-3")
    assert "unit_id" in code.output, "signed in, and told that there is no such unit"
