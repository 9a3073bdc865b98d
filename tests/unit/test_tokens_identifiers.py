"""The normal form of identifiers: one vehicle or person, one form; what names nothing has none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerthub.domain.errors import Refuse
from alerthub.domain.identifiers import (
    PROVINCES,
    IdentifierKind,
    check_digit,
    is_address,
    normalise,
    required,
)

PLATE, DOCUMENT, TAG = IdentifierKind.PLATE, IdentifierKind.DOCUMENT, IdentifierKind.TAG

serials = st.text(alphabet="ABCDEFGHJKLMNPQRSTUVWXYZ0123456789", min_size=5, max_size=6)
ordinary_plates = st.builds(
    lambda province, office, serial: f"{province}{office}{serial}",
    st.sampled_from(PROVINCES),
    st.sampled_from("ABCDEFGHJKLMNPQRSTUVWXYZ"),
    serials,
)
kinds = st.sampled_from(list(IdentifierKind))


def full_width(text: str) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)


@pytest.mark.parametrize(
    ("read", "normal"),
    [
        ("冀RA8HK5", "冀RA8HK5"),
        ("蓝冀RA8HK52", "冀RA8HK52"),
        ("冀r·a8hk5", "冀RA8HK5"),
        ("冀Ｒ Ａ８ＨＫ５", "冀RA8HK5"),
        ("京-A.12345", "京A12345"),
        ("渐变绿京AD12345", "京AD12345"),
        ("黄绿京A12345D", "京A12345D"),
        ("黄牌京A1234挂", "京A1234挂"),
        ("蓝色京A1234学", "京A1234学"),
        ("京A1234警", "京A1234警"),
        ("黑粤Z1234港", "粤Z1234港"),
        ("粤Z1234澳", "粤Z1234澳"),
        ("黑使014578", "使014578"),
        ("沪A1234领", "沪A1234领"),
        ("黑A12345", "黑A12345"),
        ("黑黑A12345", "黑A12345"),
        ("黑W12345", "黑W12345"),
        ("WJ京12345", "WJ京12345"),
        ("黑WJ京12345", "WJ京12345"),
        ("蓝黑WJ0000", "黑WJ0000"),
        ("abc 12345", "ABC12345"),
        ("А123ВС77", "А123ВС77"),
    ],
)
def test_plate_is_known_whatever_way_a_recogniser_writes_it(read: str, normal: str) -> None:
    assert normalise(PLATE, read) == normal


@pytest.mark.parametrize(
    "read",
    [
        "",
        "  ",
        "noPlate",
        "NOPLATE",
        "unknown",
        "无车牌",
        "未识别",
        "车牌",
        "-",
        "···",
        "null",
        "蓝",
        "A" * 65,
    ],
)
def test_a_read_of_nothing_is_no_identifier(read: str) -> None:
    assert normalise(PLATE, read) is None


def test_the_check_digit_is_that_of_the_standard() -> None:
    # The worked example of GB 11643-1999, annex A: 11010519491231002X.
    assert check_digit("11010519491231002") == "X"


@pytest.mark.parametrize(
    "read", ["11010519491231002x", "110105 19491231 002X", "１１０１０５１９４９１２３１００２Ｘ"]
)
def test_a_resident_number_is_known_in_any_writing(read: str) -> None:
    assert normalise(DOCUMENT, read) == "11010519491231002X"


def test_a_resident_number_with_a_wrong_check_digit_is_no_identifier() -> None:
    assert normalise(DOCUMENT, "110105194912310021") is None


def test_the_old_and_the_new_resident_number_name_one_person() -> None:
    assert normalise(DOCUMENT, "110105491231002") == "11010519491231002X"


@pytest.mark.parametrize("read", ["E 1234-5678", "e12345678"])
def test_another_document_counts_by_letters_and_digits(read: str) -> None:
    assert normalise(DOCUMENT, read) == "E12345678"


@pytest.mark.parametrize(
    ("read", "normal"),
    [
        ("ac:de:48:00:11:22", "ACDE48001122"),
        ("AC-DE-48-00-11-22", "ACDE48001122"),
        ("acde.4800.1122", "ACDE48001122"),
        ("0x00124b0001abcdef", "00124B0001ABCDEF"),
        ("00:12:4B:00:01:AB:CD:EF", "00124B0001ABCDEF"),
    ],
)
def test_an_address_of_a_tag_is_known_in_any_writing(read: str, normal: str) -> None:
    assert normalise(TAG, read) == normal
    assert is_address(normal)


def test_a_person_who_types_a_wrong_check_digit_is_told_so_without_the_number() -> None:
    with pytest.raises(Refuse) as refusal:
        required(DOCUMENT, "110105194912310021", field="identifiers[0].text")
    assert refusal.value.field == "identifiers[0].text"
    assert "GB 11643" in refusal.value.expected
    assert "110105194912310021" not in str(refusal.value)


@given(kinds, st.text(max_size=70))
def test_the_normal_form_of_a_normal_form_is_itself(kind: IdentifierKind, raw: str) -> None:
    normal = normalise(kind, raw)
    if normal is not None:
        assert normalise(kind, normal) == normal


@given(ordinary_plates)
def test_every_ordinary_plate_is_its_own_normal_form(plate: str) -> None:
    assert normalise(PLATE, plate) == plate


@given(ordinary_plates, st.sampled_from(["lower", "wide", "spaced", "colour"]))
def test_case_width_separators_and_colour_change_nothing(plate: str, change: str) -> None:
    changed = {
        "lower": plate.lower(),
        "wide": full_width(plate),
        "spaced": f" {plate[:2]}·{plate[2:]}- ",
        "colour": f"蓝{plate}",
    }[change]
    assert normalise(PLATE, changed) == plate


@given(ordinary_plates, ordinary_plates)
def test_different_plates_stay_different(one: str, other: str) -> None:
    assert (normalise(PLATE, one) == normalise(PLATE, other)) == (one == other)


@given(st.text(alphabet="0123456789", min_size=17, max_size=17), st.sampled_from("0123456789X"))
def test_of_the_eleven_last_digits_only_one_is_right(first_seventeen: str, last: str) -> None:
    right = check_digit(first_seventeen) == last
    assert (normalise(DOCUMENT, first_seventeen + last) is not None) == right
