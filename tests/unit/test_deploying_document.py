"""`docs/deploying.md` against the table of containers."""

from __future__ import annotations

import re
from pathlib import Path

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
