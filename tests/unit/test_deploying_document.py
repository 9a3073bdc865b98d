"""`docs/deploying.md` against the table of containers and against compose."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from alerthub.embedded.folder import HubFolder
from alerthub.provision.containers import CONTAINERS, KEEPS, PORTS
from alerthub.provision.shares import secret_files

ROOT = Path(__file__).resolve().parents[2]


def line_of(service: str) -> str:
    """The service's line of the table as the code has it."""
    ports = ", ".join(f"{port} (`{field}`)" for field, port in PORTS[service].items()) or "none"
    files = ", ".join(f"`{file.name}`" for file in secret_files(HubFolder(Path("/")), service))
    folders = ", ".join(f"`{folder}`" for folder in KEEPS.get(service, ())) or "none"
    return f"| {service} | {ports} | {files} | {folders} |"


def test_the_table_of_services_is_that_of_the_code() -> None:
    document = (ROOT / "docs" / "deploying.md").read_text(encoding="utf-8")
    names = "|".join(each.name for each in CONTAINERS)
    told = re.findall(rf"^\| (?:{names}) \|.*$", document, flags=re.MULTILINE)
    assert told == [line_of(each.name) for each in CONTAINERS]


def test_where_there_is_no_grafana_everything_else_is_started() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    document = (ROOT / "docs" / "deploying.md").read_text(encoding="utf-8")
    [named] = re.findall(r"^ *docker compose up --wait ([a-z ]+?) +# all but Grafana", document, re.MULTILINE)
    started: set[str] = set()
    waiting = named.split()
    while waiting:
        started.add(service := waiting.pop())
        waiting += compose[service].get("depends_on", {}).keys() - started
    assert started == compose.keys() - {"grafana", "cli"}
