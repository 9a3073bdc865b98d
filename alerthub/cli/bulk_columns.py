"""Devices, units and shifts as rows of a table: the columns by their English and Chinese names, and what each
cell must hold."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from enum import Enum
from typing import TypeVar

from alerthub.cli.csv_table import Column, Problems, Row
from alerthub.domain.datum import Datum, to_wgs84
from alerthub.domain.errors import Refuse
from alerthub.domain.resources import (
    AuthenticationClass,
    Device,
    Kind,
    LifeStatus,
    Position,
    Resource,
    Shift,
    Unit,
)
from alerthub.domain.texts import LocalizedText

Choice = TypeVar("Choice", bound=Enum)

_ID = Column(("id", "编号"), required=True)
_NAME = Column(("name", "名称"))
_STATUS = Column(("status", "状态"))
_JURISDICTION = Column(("jurisdiction", "辖区"), required=True)
_LATITUDE = Column(("latitude", "纬度"), required=True)
_LONGITUDE = Column(("longitude", "经度"), required=True)
_DATUM = Column(("datum", "坐标系"))
_ADAPTER = Column(("adapter", "适配器", "接入方式"), required=True)
_DISTRICT = Column(("district", "片区"), required=True)
_AUTHENTICATION = Column(("authentication", "认证方式", "authentication_class"), required=True)
_ZONES = Column(("zones", "区域", "zone_ids"))
_SPEAKS_FOR = Column(("speaks_for", "代报设备"))
_ADDRESSES = Column(("addresses", "地址", "ip地址"))
_CHINESE_NAME = Column(("name_chinese", "中文名称", "名称"))
_ENGLISH_NAME = Column(("name_english", "英文名称", "name"))
_UNIT_KIND = Column(("unit_kind", "单位类型", "警种"), required=True)
_CALL_SIGN = Column(("radio_call_sign", "呼号", "电台呼号"))
_SHIFT_ID = Column(("id", "编号"))
_UNIT = Column(("unit", "单位", "unit_id"), required=True)
_FROM = Column(("from", "开始时间", "上岗时间"), required=True)
_UNTIL = Column(("until", "结束时间", "下岗时间"), required=True)
_OFFICERS = Column(("officers", "民警", "人员"))

LIST = re.compile(r"[;；、\s]+")
"""What divides the values of one cell."""
_STATUSES = {"启用": LifeStatus.ACTIVE, "停用": LifeStatus.SUSPENDED, "撤销": LifeStatus.REMOVED}
_AUTHENTICATIONS = {
    "证书": AuthenticationClass.CERTIFICATE,
    "口令": AuthenticationClass.PASSWORD_OVER_TLS,
    "网址令牌": AuthenticationClass.URL_TOKEN,
    "仅网络地址": AuthenticationClass.NETWORK_ONLY,
}
_DATUMS = {"wgs84": Datum.WGS_84, "gcj02": Datum.GCJ_02}


@dataclass(frozen=True, slots=True)
class Reading:
    """How a file is to be read where its cells do not say so themselves. None: the cells must."""

    datum: Datum | None = None
    time_zone: tzinfo | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """The table of one kind of resource."""

    kind: Kind
    columns: tuple[Column, ...]
    needs: tuple[Kind, ...]
    """The kinds that one refers to."""
    used_by: tuple[Kind, ...]
    """The kinds that may refer to one, and keep it from being removed."""
    column_of: dict[str, Column]
    """By field of the resource: where a person finds it in the table."""
    read: Callable[[_Cells], Resource]
    write: Callable[[Resource], tuple[str, ...]]

    @property
    def has_positions(self) -> bool:
        return _DATUM in self.columns


class _WrongCellError(Exception):
    """The row has a cell that is told of already."""


class _Cells:
    """One row's cells as values. What is wrong with one is told, and the others are looked at as well."""

    def __init__(self, row: Row, problems: Problems, reading: Reading) -> None:
        self._row = row
        self._problems = problems
        self.reading = reading

    def wrong(self, column: Column, expected: str) -> None:
        self._problems.add(self._row.line, column.title, self._row.get(column.name), expected)

    def text(self, column: Column) -> str:
        return self._row.get(column.name)

    def many(self, column: Column) -> tuple[str, ...]:
        return tuple(part for part in LIST.split(self.text(column)) if part)

    def degrees(self, column: Column, largest: int) -> float:
        cell = self.text(column)
        if re.fullmatch(r"[-+]?\d{1,3}(\.\d{1,350})?", cell) and abs(float(cell)) <= largest:
            return float(cell)
        if cell:
            self.wrong(column, f"degrees from -{largest} to {largest}, such as 38.0422")
        return 0.0

    def choice(self, column: Column, chinese: dict[str, Choice], default: Choice) -> Choice:
        cell = self.text(column)
        known = {value.value: value for value in type(default)} | chinese
        if cell and cell not in known:
            self.wrong(column, f"one of {', '.join(known)}")
        return known.get(cell, default)

    def position(self) -> Position:
        place = Position(self.degrees(_LATITUDE, 90), self.degrees(_LONGITUDE, 180))
        return to_wgs84(place, self._datum())

    def _datum(self) -> Datum:
        cell = self.text(_DATUM)
        named = _DATUMS.get(re.sub(r"[\s_-]", "", cell.lower()))
        if cell and named is None:
            self.wrong(_DATUM, "WGS-84 or GCJ-02")
        elif cell and self.reading.datum not in (None, named):
            self.wrong(_DATUM, f"{self.reading.datum.value} as --datum says, or nothing")
        elif not cell and self.reading.datum is None:
            self.wrong(_DATUM, "WGS-84 or GCJ-02, or --datum for the whole file")
        return named or self.reading.datum or Datum.WGS_84

    def milliseconds(self, column: Column) -> int:
        cell = self.text(column)
        try:
            moment = datetime.fromisoformat(cell.replace("/", "-"))
        except ValueError:
            moment = None
        if moment is not None and moment.tzinfo is None and self.reading.time_zone is not None:
            moment = moment.replace(tzinfo=self.reading.time_zone)
        if moment is None or moment.tzinfo is None:
            if cell:
                expected = "a time with its offset, such as 2026-11-30T08:00+08:00, or --time-zone for all"
                self.wrong(column, expected)
            return 0
        return round(moment.timestamp() * 1_000)


def read_row(layout: Layout, row: Row, problems: Problems, reading: Reading) -> Resource | None:
    """The row's resource; None where a cell is wrong, which is told to `problems`."""
    before = problems.count
    resource = layout.read(_Cells(row, problems, reading))
    return resource if problems.count == before and row.line not in problems.lines else None


def check_reading(layout: Layout, columns: frozenset[str], reading: Reading) -> None:
    """Refuses a table of places that does not say in which datum they are: it would be guessed wrong by half
    a kilometre."""
    if layout.has_positions and reading.datum is None and _DATUM.name not in columns:
        expected = f"wgs-84 or gcj-02, or a column {_DATUM.title}: positions name their datum"
        raise Refuse("--datum", expected)


def _read_device(cells: _Cells) -> Resource:
    return Device(
        device_id=cells.text(_ID),
        status=cells.choice(_STATUS, _STATUSES, LifeStatus.ACTIVE),
        name=cells.text(_NAME),
        adapter=cells.text(_ADAPTER),
        position=cells.position(),
        district=cells.text(_DISTRICT),
        jurisdiction=cells.text(_JURISDICTION),
        zone_ids=cells.many(_ZONES),
        authentication_class=cells.choice(
            _AUTHENTICATION, _AUTHENTICATIONS, AuthenticationClass.PASSWORD_OVER_TLS
        ),
        speaks_for=cells.many(_SPEAKS_FOR),
        addresses=cells.many(_ADDRESSES),
    )


def _write_device(device: Resource) -> tuple[str, ...]:
    if not isinstance(device, Device):
        raise TypeError("a device")
    return (
        device.device_id,
        device.name,
        device.adapter,
        *_place(device.position),
        device.district,
        device.jurisdiction,
        device.authentication_class.value,
        "; ".join(device.zone_ids),
        "; ".join(device.speaks_for),
        "; ".join(device.addresses),
        device.status.value,
    )


def _read_unit(cells: _Cells) -> Resource:
    return Unit(
        unit_id=cells.text(_ID),
        status=cells.choice(_STATUS, _STATUSES, LifeStatus.ACTIVE),
        name=LocalizedText(cells.text(_CHINESE_NAME), cells.text(_ENGLISH_NAME)),
        unit_kind=cells.text(_UNIT_KIND),
        jurisdiction=cells.text(_JURISDICTION),
        station=cells.position(),
        radio_call_sign=cells.text(_CALL_SIGN),
    )


def _write_unit(unit: Resource) -> tuple[str, ...]:
    if not isinstance(unit, Unit):
        raise TypeError("a unit")
    return (
        unit.unit_id,
        unit.name.chinese,
        unit.name.english,
        unit.unit_kind,
        unit.jurisdiction,
        *_place(unit.station),
        unit.radio_call_sign,
        unit.status.value,
    )


def _read_shift(cells: _Cells) -> Resource:
    from_ms = cells.milliseconds(_FROM)
    unit = cells.text(_UNIT)
    return Shift(
        shift_id=cells.text(_SHIFT_ID) or f"{unit}-{_utc(from_ms):%Y%m%dT%H%M}",
        status=cells.choice(_STATUS, _STATUSES, LifeStatus.ACTIVE),
        unit_id=unit,
        from_ms=from_ms,
        until_ms=cells.milliseconds(_UNTIL),
        officers=cells.many(_OFFICERS),
    )


def _write_shift(shift: Resource) -> tuple[str, ...]:
    if not isinstance(shift, Shift):
        raise TypeError("a shift")
    return (
        shift.shift_id,
        shift.unit_id,
        _utc(shift.from_ms).isoformat(),
        _utc(shift.until_ms).isoformat(),
        "; ".join(shift.officers),
        shift.status.value,
    )


def _utc(milliseconds: int) -> datetime:
    seconds, rest = divmod(milliseconds, 1_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest * 1_000)


def _place(position: Position) -> tuple[str, str, str]:
    return _degrees(position.latitude), _degrees(position.longitude), Datum.WGS_84.value.upper()


def _degrees(value: float) -> str:
    # Never 1e-05: `degrees` reads plain digits, and they must give the same number again.
    return f"{Decimal(repr(value)):f}"


LAYOUTS = {
    "devices": Layout(
        kind=Kind.DEVICE,
        columns=(
            _ID,
            _NAME,
            _ADAPTER,
            _LATITUDE,
            _LONGITUDE,
            _DATUM,
            _DISTRICT,
            _JURISDICTION,
            _AUTHENTICATION,
            _ZONES,
            _SPEAKS_FOR,
            _ADDRESSES,
            _STATUS,
        ),
        needs=(Kind.JURISDICTION, Kind.ZONE),
        used_by=(Kind.AUTHORISATION, Kind.RULE),
        column_of={
            "device_id": _ID,
            "position.latitude": _LATITUDE,
            "position.longitude": _LONGITUDE,
            "zone_ids": _ZONES,
            "authentication_class": _AUTHENTICATION,
        },
        read=_read_device,
        write=_write_device,
    ),
    "units": Layout(
        kind=Kind.UNIT,
        columns=(
            _ID,
            _CHINESE_NAME,
            _ENGLISH_NAME,
            _UNIT_KIND,
            _JURISDICTION,
            _LATITUDE,
            _LONGITUDE,
            _DATUM,
            _CALL_SIGN,
            _STATUS,
        ),
        needs=(Kind.JURISDICTION,),
        used_by=(Kind.SHIFT,),
        column_of={
            "unit_id": _ID,
            "station.latitude": _LATITUDE,
            "station.longitude": _LONGITUDE,
        },
        read=_read_unit,
        write=_write_unit,
    ),
    "shifts": Layout(
        kind=Kind.SHIFT,
        columns=(_SHIFT_ID, _UNIT, _FROM, _UNTIL, _OFFICERS, _STATUS),
        needs=(Kind.UNIT,),
        used_by=(),
        column_of={"shift_id": _SHIFT_ID, "unit_id": _UNIT, "from_ms": _FROM, "until_ms": _UNTIL},
        read=_read_shift,
        write=_write_shift,
    ),
}
"""By what a command calls them."""


def column_at_fault(layout: Layout, field: str) -> Column | None:
    """The column of a resource's field, such as `.position.latitude` or `zone_ids[3]`."""
    path = re.sub(r"\[\d+\]", "", field.lstrip("."))
    by_name = {column.name: column for column in layout.columns}
    return layout.column_of.get(path) or by_name.get(path)
