"""What simulated devices send is what the gateway's adapters read."""

from __future__ import annotations

import random
import struct

from alerthub.domain.device_events import ObservationKind
from alerthub.simulator.jpeg import mosaic, street
from alerthub.simulator.shapes import PlateRead, hikvision_anpr, standing_vehicle
from services.gateway.adapters import ADAPTERS, AdapterContext

NOW = 1_780_000_000_123


def test_a_hikvision_push_is_read_with_its_picture() -> None:
    picture = street(random.Random(1))  # noqa: S311 - a picture, no secret
    payload = hikvision_anpr(PlateRead(plate="冀R7X31K", time_ms=NOW, event_id="e1", lane=2), picture)
    (event,) = ADAPTERS["hikvision-anpr"](payload.content_type, payload.body, AdapterContext())
    assert event.kind is ObservationKind.IDENTIFIER_READ
    assert event.identifiers[0].text == "冀R7X31K"
    assert (event.event_id, event.device_time_ms, event.lane) == ("e1", NOW, 2)
    assert event.picture == picture


def test_a_standing_vehicle_is_read_with_its_track() -> None:
    payload = standing_vehicle("bay-1", track="t7", time_ms=NOW, event_id="e1")
    (event,) = ADAPTERS["cloudevents"](payload.content_type, payload.body, AdapterContext())
    assert event.kind is ObservationKind.VEHICLE_STANDING
    assert (event.track_id, event.device_time_ms) == ("t7", NOW)
    assert event.identifiers == ()


def test_a_repeat_has_the_same_event_id() -> None:
    payloads = [standing_vehicle("bay-1", track="t7", time_ms=NOW, event_id="e1") for _ in range(2)]
    first, second = (ADAPTERS["cloudevents"](p.content_type, p.body, AdapterContext())[0] for p in payloads)
    assert first.event_id == second.event_id


def _brightnesses(jpeg: bytes) -> list[int]:
    """Decodes what `mosaic` makes, from the markers and code tables in the file (ITU-T T.81)."""
    tables: dict[int, dict[str, int]] = {}
    position, quantiser, height, width = 2, 0, 0, 0
    while True:
        marker, length = struct.unpack_from(">HH", jpeg, position)
        content = jpeg[position + 4 : position + 2 + length]
        position += 2 + length
        if marker == 0xFFDB:
            quantiser = content[1]
        elif marker == 0xFFC0:
            _, height, width = struct.unpack_from(">BHH", content)
        elif marker == 0xFFC4:
            tables[content[0]] = _codes(content[1:17], content[17:])
        elif marker == 0xFFDA:
            break
    bits = "".join(f"{byte:08b}" for byte in jpeg[position:-2].replace(b"\xff\x00", b"\xff"))
    values, at, level = [], 0, 0

    def symbol(table: dict[str, int]) -> int:
        nonlocal at
        end = at + 1
        while bits[at:end] not in table:
            end += 1
        found = table[bits[at:end]]
        at = end
        return found

    for _ in range(height // 8 * width // 8):
        size = symbol(tables[0x00])
        extra = int(bits[at : at + size] or "0", 2)
        at += size
        level += extra if size == 0 or extra >> (size - 1) else extra - (1 << size) + 1
        assert symbol(tables[0x10]) == 0
        values.append(level * quantiser // 8 + 128)
    return values


def _codes(counts: bytes, symbols: bytes) -> dict[str, int]:
    codes, code, index = {}, 0, 0
    for length, count in enumerate(counts, start=1):
        for _ in range(count):
            codes[f"{code:0{length}b}"] = symbols[index]
            code, index = code + 1, index + 1
        code <<= 1
    return codes


def test_the_simulated_picture_is_a_jpeg_that_decodes_to_what_was_drawn() -> None:
    drawn = [0, 255, 128, 17, 200, 64]
    decoded = _brightnesses(mosaic([drawn[:3], drawn[3:]]))
    assert all(abs(is_ - was) <= 2 for is_, was in zip(decoded, drawn, strict=True))
