"""The demo city: `demo_city.yaml`, with the authorisation and the shifts of the next 24 hours."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

import yaml
from google.protobuf.json_format import ParseDict

from alerthub.api.v1.registry_pb2 import CheckAuthorisation, Resource, Shift

CATEGORIES = ("stolen_vehicle", "wanted_person_vehicle")
WITHOUT_AUTHORISATION = "demo-camera-06"
_HOUR_MS = 3_600_000
_SHIFT_HOURS = 12


@dataclass(frozen=True, slots=True)
class DemoCity:
    """What is applied, and who sends."""

    resources: tuple[Resource, ...]
    cameras: tuple[str, ...]
    parking_sensors: tuple[str, ...]
    units: tuple[str, ...]


def demo_city(*, officer: str, now_ms: int) -> DemoCity:
    """The city with `officer` on every shift from now on for a day."""
    text = resources.files("alerthub.simulator").joinpath("demo_city.yaml").read_text(encoding="utf-8")
    made = [ParseDict(each, Resource()) for each in yaml.safe_load(text)["resources"]]
    devices = [each.device for each in made if each.HasField("device")]
    cameras = tuple(each.device_id for each in devices if each.adapter == "hikvision-anpr")
    units = tuple(each.unit.unit_id for each in made if each.HasField("unit"))
    day = now_ms // (24 * _HOUR_MS)
    made.append(
        Resource(
            authorisation=CheckAuthorisation(
                authorisation_id="demo-authorisation",
                device_ids=[camera for camera in cameras if camera != WITHOUT_AUTHORISATION],
                legal_basis="demonstration",
                purpose="demonstration with invented vehicles",
                categories=list(CATEGORIES),
                valid_from_ms=day * 24 * _HOUR_MS,
                valid_until_ms=(day + 3) * 24 * _HOUR_MS,
            )
        )
    )
    # Shifts begin at full half days, so that a second start on the same day changes nothing.
    first = now_ms // (_SHIFT_HOURS * _HOUR_MS)
    for unit in units:
        for half_day in range(first, first + 3):
            made.append(
                Resource(
                    shift=Shift(
                        shift_id=f"{unit}-{half_day}",
                        unit_id=unit,
                        from_ms=half_day * _SHIFT_HOURS * _HOUR_MS,
                        until_ms=(half_day + 1) * _SHIFT_HOURS * _HOUR_MS,
                        officers=[officer],
                    )
                )
            )
    return DemoCity(
        resources=tuple(made),
        cameras=cameras,
        parking_sensors=tuple(each.device_id for each in devices if each.adapter == "cloudevents"),
        units=units,
    )
