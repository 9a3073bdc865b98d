"""Multipart bodies as cameras send them: whatever ends their lines, the parts come out as they went in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerthub.domain.errors import Refuse
from services.gateway.adapters.multipart import MAXIMUM_PARTS, split

BOUNDARY = "-----7e139"
CONTENT = (
    st.binary(max_size=60)
    | st.sampled_from([b"\n", b"\r\n\r\n", b"\n--", b"\n-----7e13", b"--", b"\xff\xd8"])
).filter(
    # Nobody can tell a carriage return at the end from the line's, nor a delimiter from a delimiter.
    lambda content: not content.endswith(b"\r") and f"\n--{BOUNDARY}".encode() not in b"\n" + content
)
CONTENTS = st.lists(CONTENT, min_size=1, max_size=MAXIMUM_PARTS)
LINE_ENDS = st.sampled_from([b"\n", b"\r\n"])


def body_of(contents: list[bytes], line_end: bytes, *, closed: bool, stated: bool = False) -> bytes:
    delimiter = b"--" + BOUNDARY.encode()
    body = b""
    for number, content in enumerate(contents):
        lines = [delimiter, f'Content-Disposition: form-data; name="Part-{number}"'.encode()]
        if stated:
            lines.append(f"Content-Length: {len(content)}".encode())
        body += line_end.join([*lines, b"", content]) + line_end
    return body + delimiter + b"--" + line_end if closed else body


@given(CONTENTS, LINE_ENDS)
def test_the_parts_of_a_closed_body_are_those_that_were_sent(contents: list[bytes], line_end: bytes) -> None:
    parts = split(body_of(contents, line_end, closed=True, stated=True), BOUNDARY)

    assert [part.content for part in parts] == contents
    assert [part.names for part in parts] == [(f"part-{number}",) for number in range(len(contents))]
    assert all(part.complete for part in parts)


@given(CONTENTS, LINE_ENDS)
def test_a_boundary_that_nobody_named_is_read_from_the_first_line(
    contents: list[bytes], line_end: bytes
) -> None:
    body = body_of(contents, line_end, closed=True)

    assert split(body, "") == split(body, BOUNDARY)


@given(CONTENTS, LINE_ENDS)
def test_without_a_closing_delimiter_the_last_part_is_whole_where_it_says_its_length(
    contents: list[bytes], line_end: bytes
) -> None:
    *_, last = split(body_of(contents, line_end, closed=False, stated=True), BOUNDARY)

    assert last.complete
    assert last.content == contents[-1]


@given(CONTENTS, LINE_ENDS, st.integers(min_value=1, max_value=40))
def test_a_part_that_was_cut_off_is_not_whole(contents: list[bytes], line_end: bytes, missing: int) -> None:
    contents[-1] += b"x" * missing
    body = body_of(contents, line_end, closed=False, stated=True)

    *_, last = split(body[: -missing - len(line_end)], BOUNDARY)

    assert not last.complete


def test_more_parts_than_a_camera_sends_are_refused() -> None:
    with pytest.raises(Refuse, match="16 parts"):
        split(body_of([b"x"] * (MAXIMUM_PARTS + 1), b"\r\n", closed=True), BOUNDARY)


def test_delimiters_with_nothing_between_them_are_parts_too() -> None:
    with pytest.raises(Refuse, match="16 parts"):
        split(f"--{BOUNDARY}\n".encode() * (MAXIMUM_PARTS + 1), BOUNDARY)


@given(st.binary(max_size=200))
def test_whatever_comes_is_read_or_refused(body: bytes) -> None:
    for boundary in (BOUNDARY, "", "\n"):
        try:
            parts = split(body, boundary)
        except Refuse:
            continue
        assert sum(len(part.content) for part in parts) <= len(body)
