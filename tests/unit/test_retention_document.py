"""`docs/retention.md` against what exists: it names everything that is kept, and nothing else."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from alerthub.embedded.folder import HubFolder
from alerthub.keys import FileKeyProvider
from alerthub.topics import DAY_MS, FORGETTING_CAP_MS, HOUR_MS, TOPICS
from services.dispatch.settings import DispatchSettings
from services.gateway.settings import GatewaySettings
from services.registry.settings import RegistrySettings
from services.watchlist.settings import WatchlistSettings

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "docs" / "retention.md").read_text(encoding="utf-8")
SCHEMAS = ("watchlist", "registry", "dispatch")
_IN_EVERY_SCHEMA = "all"
_UNIT_MS = {"h": HOUR_MS, "d": DAY_MS}


@dataclass(frozen=True, slots=True)
class Line:
    """A line of one of the tables; the cells as they are written."""

    cells: tuple[str, ...]

    def names(self, cell: int) -> list[str]:
        return re.findall(r"`([^`]+)`", self.cells[cell])

    def life_ms(self, cell: int) -> int | None:
        """The life in milliseconds; None where it is no time."""
        found = re.match(r"(\d+) ([hd])\b", self.cells[cell])
        return None if found is None else int(found[1]) * _UNIT_MS[found[2]]


def lines_of(heading: str) -> list[Line]:
    """The lines of the table below this heading."""
    section = re.split(r"^## ", DOCUMENT, flags=re.MULTILINE)
    [text] = [each for each in section if each.startswith(heading)]
    rows = [row for row in text.splitlines() if row.startswith("|")]
    return [Line(tuple(cell.strip() for cell in row.strip("|").split("|"))) for row in rows[2:]]


TOPIC_LINES = lines_of("Kafka")
TABLE_LINES = lines_of("PostgreSQL")
FILE_LINES = lines_of("Files")


def tables_of_the_document() -> list[tuple[str, str, Line]]:
    """Schema and table (or table and column), each with its line; an empty schema is the one above."""
    found = []
    schema = ""
    for line in TABLE_LINES:
        schema = line.cells[0] or schema
        for name in line.names(1):
            for each in SCHEMAS if schema == _IN_EVERY_SCHEMA else (schema,):
                found.append((each, name, line))
    return found


def migrations_of(schema: str) -> str:
    versions = ROOT / "services" / schema / "migrations" / "versions"
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(versions.glob("*.py")))


def tables_of(schema: str) -> set[str]:
    """The tables that the schema's migrations make; Alembic makes the one of versions."""
    scripts = migrations_of(schema)
    found = set(re.findall(r"CREATE TABLE (?:IF NOT EXISTS )?(\w+)", scripts)) | {"schema_version"}
    if "create_outbox(op)" in scripts:
        found |= {"outbox"}
    if "create_audit(op)" in scripts:
        found |= {"audit_entry", "audit_head"}
    return found


def test_the_document_names_every_topic_once_and_no_other() -> None:
    assert sorted(name for line in TOPIC_LINES for name in line.names(0)) == sorted(TOPICS)


@pytest.mark.parametrize(
    ("topic", "line"), [(name, line) for line in TOPIC_LINES for name in line.names(0) if name in TOPICS]
)
def test_a_topic_is_kept_as_long_as_the_document_says(topic: str, line: Line) -> None:
    assert TOPICS[topic].retention_ms == line.life_ms(1)


def test_what_has_no_time_is_the_newest_value_of_its_id() -> None:
    [line] = [each for each in TOPIC_LINES if each.life_ms(1) is None]
    assert line.cells[1] == "the newest value of each id"


def test_the_topics_whose_life_is_a_setting_say_its_cap() -> None:
    settable = {name for line in TOPIC_LINES if "a setting" in line.cells[1] for name in line.names(0)}
    assert settable == {"observations", "passages", "correlator-state-changelog"}
    assert f"{FORGETTING_CAP_MS // HOUR_MS} h at most" in TOPIC_LINES[0].cells[1]


@pytest.mark.parametrize("schema", SCHEMAS)
def test_the_document_names_every_table_once_and_no_other(schema: str) -> None:
    named = [name for of, name, _ in tables_of_the_document() if of == schema and "." not in name]
    assert sorted(named) == sorted(tables_of(schema))


def test_a_column_with_a_life_of_its_own_exists() -> None:
    named = [(schema, *name.split(".")) for schema, name, _ in tables_of_the_document() if "." in name]
    assert named
    for schema, table, column in named:
        [body] = re.findall(rf"CREATE TABLE {table} \((.*?)\n    \)", migrations_of(schema), re.DOTALL)
        assert re.search(rf"^\s+{column} ", body, re.MULTILINE), f"{schema}.{table}.{column}"


def test_the_document_names_everything_in_the_hubs_folder_and_nothing_else() -> None:
    folder = HubFolder(Path("/hub"))
    paths = [getattr(folder, name) for name, value in vars(HubFolder).items() if isinstance(value, property)]
    present = {path.relative_to(folder.root).parts[0] for path in paths}
    named = {name.partition("/")[0] for line in FILE_LINES for name in line.names(0)}
    assert named == present


def test_the_document_names_every_kind_of_key(tmp_path: Path) -> None:
    FileKeyProvider(tmp_path)
    named = {name for line in FILE_LINES for name in line.names(0) if name.startswith("keys/")}
    assert named == {f"keys/{kind.name}" for kind in tmp_path.iterdir()}


@pytest.mark.parametrize(
    ("setting", "default_ms"),
    [
        ("alert_keys_days", WatchlistSettings().alert_keys_days * DAY_MS),
        ("command_memory_days", RegistrySettings().command_memory_days * DAY_MS),
        ("raised_kept_days", DispatchSettings().raised_kept_days * DAY_MS),
        ("evidence_kept_days", DispatchSettings().evidence_kept_days * DAY_MS),
        ("picture_retention_ms", GatewaySettings().picture_retention_ms),
    ],
)
def test_a_life_that_is_a_setting_is_its_default(setting: str, default_ms: int) -> None:
    told = [
        line.life_ms(life)
        for lines, life in ((TABLE_LINES, 2), (FILE_LINES, 1))
        for line in lines
        if f"`{setting}`" in line.cells[life]
    ]
    assert told
    assert set(told) == {default_ms}


_ENDING = [
    (" ".join(line.names(1 if lines is TABLE_LINES else 0)), line)
    for lines, life in ((TABLE_LINES, 2), (FILE_LINES, 1))
    for line in lines
    if line.cells[-1] or not line.cells[life].startswith(("for good", "as the tables above"))
]
TESTS = frozenset(
    name
    for path in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(r"^(?:async )?def (test_\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE)
)


@pytest.mark.parametrize("line", [line for _, line in _ENDING], ids=[name for name, _ in _ENDING])
def test_what_has_an_end_names_the_code_that_ends_it_and_a_test_that_saw_it(line: Line) -> None:
    [code], [test] = line.names(-2), line.names(-1)
    assert (ROOT / code).is_file()
    assert test in TESTS
