"""Tables as spreadsheets write them: comma-separated values of RFC 4180, read within bounds and written so
that no cell is taken for a formula (S4)."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from alerthub.domain.errors import Refuse

MAXIMUM_BYTES = 32 * 1024 * 1024
MAXIMUM_ROWS = 60_000
"""Nearly three of the reference city's 21,100 devices."""
MAXIMUM_COLUMNS = 64
MAXIMUM_CELL = 20_000
"""Characters: an edge server's 300 devices of 64 letters each."""
MAXIMUM_PROBLEMS = 200
"""Told of one file. What is wrong in more places is wrong in all of them for the same reason."""

UTF_8 = "utf-8"
GB18030 = "gb18030"
ENCODINGS = (UTF_8, GB18030)

_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_FORMULA = re.compile(r"'*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]")
"""What a spreadsheet evaluates, full-width forms too, and what was made harmless already."""
_HARMLESS = re.compile(r"'+[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"-\d+(\.\d+)?")


@dataclass(frozen=True, slots=True)
class Column:
    """A column by its names: the first is the one that is written, every one may be read."""

    names: tuple[str, ...]
    required: bool = False

    @property
    def name(self) -> str:
        return self.names[0]

    @property
    def title(self) -> str:
        """Its name as a person is told it: English, and Chinese where it has one."""
        return " / ".join(self.names[:2])


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong at one place. It never repeats the cell (S5): its kind says enough."""

    line: int
    column: str
    found: str
    expected: str

    def __str__(self) -> str:
        place = f"line {self.line}" + (f", column {self.column}" if self.column else "")
        return (
            f"{place}: found {self.found}; expected {self.expected}"
            if self.found
            else (f"{place}: expected {self.expected}")
        )


@dataclass(slots=True)
class Problems:
    """What is wrong with a file, up to a number that a person reads."""

    told: list[Problem] = field(default_factory=list)
    count: int = 0

    def add(self, line: int, column: str, cell: str | None, expected: str) -> None:
        self.count += 1
        if len(self.told) < MAXIMUM_PROBLEMS:
            self.told.append(Problem(line, column, "" if cell is None else kind_of(cell), expected))

    @property
    def lines(self) -> frozenset[int]:
        return frozenset(problem.line for problem in self.told)


@dataclass(frozen=True, slots=True)
class Row:
    """One record: the line that it begins on, and its cells by the columns' first names."""

    line: int
    cells: dict[str, str]

    def get(self, name: str) -> str:
        """The cell without the blanks around it; empty where the file has no such column."""
        return self.cells.get(name, "")


@dataclass(frozen=True, slots=True)
class Table:
    """A file that was read: which columns it has, and its rows in order."""

    columns: frozenset[str]
    rows: tuple[Row, ...]
    encoding: str


def kind_of(cell: str) -> str:
    """What a cell holds, without saying it."""
    if not cell:
        return "nothing"
    if re.fullmatch(r"[-+]?\d+", cell):
        return "a whole number"
    if re.fullmatch(r"[-+]?\d*[.,]\d+|[-+]?\d+[.,]\d*", cell):
        return "a decimal number"
    if re.match(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}", cell):
        return "a date or time"
    return f"text of {len(cell)} characters"


def read_table(path: Path, columns: Sequence[Column], problems: Problems, *, encoding: str = "") -> Table:
    """The file's table. Raises Refuse for a file that is none; tells `problems` what single rows have."""
    try:
        with path.open("rb") as file:
            content = file.read(MAXIMUM_BYTES + 1)
    except OSError as error:
        raise Refuse(str(path), f"a file that can be read ({type(error).__name__})") from None
    return parse_table(content, columns, problems, encoding=encoding)


def parse_table(
    content: bytes, columns: Sequence[Column], problems: Problems, *, encoding: str = ""
) -> Table:
    """`read_table` of bytes. `encoding` empty: UTF-8, or GB18030 where nothing else is possible."""
    if len(content) > MAXIMUM_BYTES:
        raise Refuse("the file", f"at most {MAXIMUM_BYTES // 1024 // 1024} MiB")
    text, used = _decoded(content, columns, encoding)
    records = _records(text)
    first = next(records, None)
    if first is None:
        raise Refuse("the file", "a first line with the names of the columns")
    header = _header(first[1], columns)
    rows: list[Row] = []
    for line, cells in records:
        if not any(cells):
            continue
        if len(rows) == MAXIMUM_ROWS:
            raise Refuse(f"line {line}", f"at most {MAXIMUM_ROWS} rows: divide the file")
        if any(cells[len(header) :]):
            problems.add(line, "", None, f"at most {len(header)} cells, as the first line has; it has more")
            continue
        row = Row(line, dict(zip(header, cells, strict=False)))
        _check_cells(row, columns, problems)
        rows.append(row)
    return Table(frozenset(header), tuple(rows), used)


def _decoded(content: bytes, columns: Sequence[Column], encoding: str) -> tuple[str, str]:
    if content.startswith(_UTF_16):
        raise Refuse("the file", "UTF-8 or GB18030; this is UTF-16: save it as CSV UTF-8")
    if encoding not in ("", *ENCODINGS):
        raise Refuse("--encoding", f"one of {', '.join(ENCODINGS)}")
    if encoding != GB18030:
        try:
            return content.decode("utf-8-sig"), UTF_8
        except UnicodeDecodeError as error:
            if encoding == UTF_8:
                raise Refuse(f"line {_line_of(content, error.start)}", "text in UTF-8") from None
    try:
        text = content.decode(GB18030)
    except UnicodeDecodeError as error:
        raise Refuse(f"line {_line_of(content, error.start)}", "text in UTF-8 or GB18030") from None
    if encoding == GB18030 or _is_surely_chinese(text, columns):
        return text, GB18030
    raise Refuse("--encoding", "gb18030, if it is that: the file is not UTF-8, and could be something else")


def _is_surely_chinese(text: str, columns: Sequence[Column]) -> bool:
    """Whether a column's Chinese name came out of the bytes: nothing else does that by chance."""
    names = {name for column in columns for name in column.names if not name.isascii()}
    return any(_folded(cell) in names for cell in text.partition("\n")[0].split(","))


def _line_of(content: bytes, offset: int) -> int:
    return content.count(b"\n", 0, offset) + 1


def _records(text: str) -> Iterator[tuple[int, list[str]]]:
    """Each record with the line on which it begins."""
    # A field of csv's own limit would be taken as an error of the whole file, with no line to name.
    csv.field_size_limit(MAXIMUM_BYTES)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    before = 0
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            # csv counts what it has read: the record that is broken begins on the line after the last one.
            raise Refuse(f"line {before + 1}", f"comma-separated values ({error})") from None
        yield before + 1, [_plain(cell) for cell in cells]
        before = reader.line_num


def _plain(cell: str) -> str:
    """The cell as it was before it was made harmless, without the blanks around it."""
    cell = cell.strip()
    return cell[1:] if _HARMLESS.match(cell) else cell


def _folded(name: str) -> str:
    """A column's name however it is typed: `Unit kind`, `unit_kind`, full-width letters."""
    plain = unicodedata.normalize("NFKC", name).strip().strip('"').lower()
    return re.sub(r"[\s-]+", "_", plain)


def _header(cells: Sequence[str], columns: Sequence[Column]) -> list[str]:
    known = {name: column.name for column in columns for name in column.names}
    if len(cells) == 1 and re.search(r"[;\t；]", cells[0]):
        raise Refuse("line 1", "names of columns divided by commas")
    if len(cells) > MAXIMUM_COLUMNS:
        raise Refuse("line 1", f"at most {MAXIMUM_COLUMNS} columns")
    while cells and not cells[-1]:
        cells = cells[:-1]
    header: list[str] = []
    for place, cell in enumerate(cells, start=1):
        name = known.get(_folded(cell))
        if name is None:
            titles = ", ".join(column.title for column in columns)
            raise Refuse(f"line 1, column {place}", f"one of the names {titles}")
        if name in header:
            raise Refuse(f"line 1, column {place}", f"each column once: {name} comes twice")
        header.append(name)
    missing = [column.title for column in columns if column.required and column.name not in header]
    if missing:
        raise Refuse("line 1", f"the columns {', '.join(missing)} as well")
    return header


def _check_cells(row: Row, columns: Sequence[Column], problems: Problems) -> None:
    for column in columns:
        cell = row.get(column.name)
        if len(cell) > MAXIMUM_CELL:
            problems.add(row.line, column.title, cell, f"at most {MAXIMUM_CELL} characters")
        elif any(unicodedata.category(letter) == "Cc" for letter in cell):
            problems.add(row.line, column.title, cell, "one line, without control characters")
        elif column.required and not cell:
            problems.add(row.line, column.title, cell, "something")


def write_table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The table as text, with a byte order mark: spreadsheets take a file without one for another encoding.

    No cell starts a formula, and `parse_table` reads back what was written.
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(names)
    writer.writerows([harmless(cell) for cell in row] for row in rows)
    return f"\ufeff{out.getvalue()}"


def harmless(cell: str) -> str:
    """The cell with an apostrophe before it where a spreadsheet would evaluate it (S4)."""
    if _NUMBER.fullmatch(cell):
        return cell
    return f"'{cell}" if _FORMULA.match(cell) else cell
