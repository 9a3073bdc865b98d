"""What SREs are told: rules are right, each alert has fired and stayed silent, and each has its runbook."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_tools import PROMETHEUS, ROOT, alerts, tool

from alerthub.embedded.catalogue import SERVICES

RUNBOOKS = ROOT / "docs" / "runbooks"
PROGRAM = tool("run_prometheus").program
NAMES = sorted({rule["alert"] for rule in alerts()})


def passes(*command: str, folder: Path = PROMETHEUS) -> None:
    done = subprocess.run(
        [PROGRAM(command[0]), *command[1:]], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def expectations() -> list[dict[str, Any]]:
    """Every question of the rules' tests, with the answer that is expected."""
    tests = [
        test
        for path in sorted((PROMETHEUS / "tests").glob("*.yml"))
        for test in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]
    ]
    return [each for test in tests for each in test["promql_expr_test"]]


def test_prometheus_takes_the_configuration_and_the_rules() -> None:
    passes("promtool", "check", "config", "prometheus.yml")


def test_alertmanager_takes_its_configuration() -> None:
    passes("amtool", "check-config", "alertmanager.yml", folder=ROOT / "deploy" / "alertmanager")


@pytest.mark.parametrize("path", sorted((PROMETHEUS / "tests").glob("*.yml")), ids=lambda path: path.stem)
def test_alerts_fire_when_they_must_and_are_silent_when_they_must(path: Path) -> None:
    passes("promtool", "test", "rules", path.name, folder=path.parent)


@pytest.mark.parametrize("name", NAMES)
def test_each_alert_has_a_case_in_which_it_fires_and_one_in_which_it_is_silent(name: str) -> None:
    asked = [each["exp_samples"] for each in expectations() if f'alertname="{name}"' in each["expr"]]
    assert any(asked), "no case in which it fires"
    assert not all(asked), "no case in which it is silent"


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: f"{rule['alert']}-{rule['labels']['severity']}")
def test_each_alert_says_how_urgent_it_is_and_where_to_read_on(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["runbook"] == f"docs/runbooks/{rule['alert']}.md"


def test_each_alert_has_a_page_and_each_page_an_alert() -> None:
    assert sorted(path.stem for path in RUNBOOKS.glob("*.md")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_page_says_what_it_means_what_to_look_at_and_what_to_do(name: str) -> None:
    text = (RUNBOOKS / f"{name}.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {name}\n")
    for heading in ("**What it means.** ", "**What to look at**\n\n- ", "**What to do**\n\n1. "):
        assert heading in text


def test_pages_send_on_to_pages_that_exist() -> None:
    named = {
        (path.stem, word)
        for path in RUNBOOKS.glob("*.md")
        for word in re.findall(r"\b(?:[A-Z][a-z]+){2,}\b", path.read_text(encoding="utf-8"))
    }
    foreign = {"SaslAuthenticationException", "IssueDeviceCredential", "TopicReplacedError", "SignInRefused"}
    assert sorted(each for each in named if each[1] not in {*NAMES, *foreign}) == []


def test_inhibitions_name_alerts_that_exist() -> None:
    text = (ROOT / "deploy" / "alertmanager" / "alertmanager.yml").read_text(encoding="utf-8")
    matchers = [
        matcher
        for rule in yaml.safe_load(text)["inhibit_rules"]
        for matcher in (*rule["source_matchers"], *rule["target_matchers"])
    ]
    named = {
        name
        for matcher in matchers
        if (found := re.fullmatch(r'alertname=~?"(.*)"', matcher)) and found[1] != ".+"
        for name in found[1].split("|")
    }
    assert sorted(named - set(NAMES)) == []
    assert named


def test_every_service_is_scraped_and_its_absence_is_told() -> None:
    # given the services that the hub runs (the embedded MQTT broker stands in for one of its own elsewhere)
    services = {each.name for each in SERVICES} - {"mqtt"}

    # then compose names each to Prometheus, and an alert tells of each that nobody scrapes
    targets = json.loads((PROMETHEUS / "targets" / "compose.json").read_text(encoding="utf-8"))
    assert {each["labels"]["service"] for each in targets} == services
    down = next(rule["expr"] for rule in alerts() if rule["alert"] == "ServiceDown")
    assert set(re.findall(r'absent\(up\{job="alerthub",service="(\w+)"\}\)', down)) == services
