"""Tables from spreadsheets: read within bounds, told by line and column, written without formulas (S4)."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerthub.cli import csv_table
from alerthub.cli.csv_table import Column, Problems, Row, Table, harmless, parse_table, write_table
from alerthub.domain.errors import Refuse

COLUMNS = (Column(("id", "编号"), required=True), Column(("name", "名称")), Column(("unit_kind", "警种")))


def read(content: bytes, *, encoding: str = "") -> Table:
    problems = Problems()
    table = parse_table(content, COLUMNS, problems, encoding=encoding)
    assert not problems.told
    return table


def told(content: bytes) -> list[str]:
    problems = Problems()
    parse_table(content, COLUMNS, problems)
    return [str(problem) for problem in problems.told]


def refused(content: bytes, *, encoding: str = "") -> str:
    with pytest.raises(Refuse) as error:
        parse_table(content, COLUMNS, Problems(), encoding=encoding)
    return str(error.value)


CELLS = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=30).map(str.strip)


@given(st.lists(st.tuples(CELLS.filter(bool), CELLS, CELLS), max_size=20))
def test_what_was_written_is_read_back(rows: list[tuple[str, str, str]]) -> None:
    text = write_table(["id", "name", "unit_kind"], rows)
    found = read(text.encode())
    assert [tuple(row.get(column.name) for column in COLUMNS) for row in found.rows] == rows


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_s4_no_cell_that_is_written_starts_a_formula(cell: str) -> None:
    (written,) = next(
        csv.reader(io.StringIO(write_table(["id"], [[cell]]).split("\r\n", 1)[1], newline="")), [""]
    )
    assert written[:1] not in tuple("=+@\t\r＝＋－＠") or not written
    assert not written.startswith("-") or written.lstrip("-").replace(".", "").isdigit()


def test_a_number_below_zero_stays_a_number() -> None:
    assert (harmless("-73.98"), harmless("-1+1"), harmless("=1+1")) == ("-73.98", "'-1+1", "'=1+1")


@given(st.binary(max_size=400))
def test_any_bytes_are_a_table_or_are_refused(content: bytes) -> None:
    try:
        table = parse_table(b"id,name\r\n" + content, COLUMNS, Problems())
    except Refuse:
        return
    assert all(isinstance(row, Row) for row in table.rows)


@pytest.mark.parametrize(
    "content",
    [
        "id,name\nA1,北门\n".encode(),
        "\ufeffid,name\r\nA1,北门\r\n".encode(),
        "编号,名称\nA1,北门\n".encode("gb18030"),
        " ID , Name \nA1 , 北门 \n".encode(),
        'id,name,\n"A1","北门",\n\n'.encode(),
    ],
    ids=["utf-8", "with-mark", "gb18030", "blanks-and-capitals", "quoted-with-an-empty-column"],
)
def test_a_table_is_read_however_a_spreadsheet_saved_it(content: bytes) -> None:
    (row,) = read(content).rows
    assert (row.line, row.get("id"), row.get("name"), row.get("unit_kind")) == (2, "A1", "北门", "")


def test_bytes_that_could_be_anything_are_not_guessed() -> None:
    content = "id,name\nA1,北门\n".encode("gb18030")
    assert "gb18030" in refused(content)
    assert read(content, encoding="gb18030").rows[0].get("name") == "北门"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "first line with the names"),
        ("id,name\nA1,x\n".encode("utf-16"), "save it as CSV UTF-8"),
        (b"id,colour\n", "line 1, column 2: one of the names id / "),
        (b"id,id\n", "line 1, column 2: each column once"),
        (b"name\n", "line 1: the columns id / "),
        (b"id;name\nA1;x\n", "line 1: names of columns divided by commas"),
        (b'id,name\nA1,x\nA2,"open\n', "line 3: comma-separated values"),
        (b"id\n\xff\n", "line 2: text in UTF-8"),
    ],
)
def test_a_file_that_is_no_such_table_is_refused_by_place(content: bytes, sentence: str) -> None:
    assert sentence in refused(content)


def test_every_wrong_row_is_told_with_the_line_that_it_begins_on() -> None:
    content = b'id,name\nA1,"two\nlines"\n,nameless\nA3,x,y,z\nA4,ok\n'
    assert told(content) == [
        (
            "line 2, column name / 名称: found text of 9 characters; "
            "expected one line, without control characters"
        ),
        "line 4, column id / 编号: found nothing; expected something",
        "line 5: expected at most 2 cells, as the first line has; it has more",
    ]


def test_bytes_rows_and_cells_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_table, "MAXIMUM_ROWS", 2)
    assert "line 4: at most 2 rows" in refused(b"id\n1\n2\n3\n")
    monkeypatch.setattr(csv_table, "MAXIMUM_CELL", 3)
    assert told(b"id\nlong\n") == [
        "line 2, column id / 编号: found text of 4 characters; expected at most 3 characters"
    ]
    monkeypatch.setattr(csv_table, "MAXIMUM_BYTES", 4)
    assert "at most" in refused(b"id\n1\n2\n")


def test_problems_are_counted_and_not_all_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_table, "MAXIMUM_PROBLEMS", 2)
    problems = Problems()
    parse_table(b"id,name\n,a\n,b\n,c\n", COLUMNS, problems)
    assert (len(problems.told), problems.count) == (2, 3)
