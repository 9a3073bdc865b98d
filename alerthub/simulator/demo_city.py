"""The demo city: `demo_city.yaml`, with the authorisation and the shifts of the next 24 hours, and who drives
in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

import yaml
from google.protobuf.json_format import ParseDict

from alerthub.api.v1.registry_pb2 import CheckAuthorisation, Resource, Shift
from alerthub.simulator.cast import Listed, Role
from alerthub.simulator.city import City, Device, Job, Make, Times
from alerthub.simulator.scenario import Figures, Scenario, scenario_in
from alerthub.simulator.streets import joined

CATEGORIES = ("stolen_vehicle", "wanted_person_vehicle")
WITHOUT_AUTHORISATION = "demo-camera-06"
_HOUR_MS = 3_600_000
_SHIFT_HOURS = 12


_TIMES = Times(dwell_seconds=240, gap_seconds=60, lateness_seconds=60)
"""Of the rule for the market's front."""


@dataclass(frozen=True, slots=True)
class DemoCity:
    """What is applied, and who sends."""

    resources: tuple[Resource, ...]
    cameras: tuple[str, ...]
    parking_sensors: tuple[str, ...]
    units: tuple[str, ...]

    def scenario(self, figures: Figures, *, listed_plates: Sequence[str]) -> Scenario:
        """What its devices see in the time of `figures`: two listed vehicles among many others."""
        role = Role("listed for the demo", len(listed_plates))
        cast = tuple(Listed(number, role, plate, plate) for number, plate in enumerate(listed_plates))
        return scenario_in(self._simulated(), cast, _TIMES, figures)

    def _simulated(self) -> City:
        """The registered devices as devices of a simulated city: each at a crossing of its own."""
        registered = [each.device for each in self.resources if each.HasField("device")]
        devices = tuple(
            Device(
                device_id=each.device_id,
                make=Make(each.adapter),
                job=Job.BAY if each.device_id in self.parking_sensors else Job.CAMERA,
                crossing=crossing,
                district=each.district,
                town=0,
                authorised=each.device_id != WITHOUT_AUTHORISATION,
                clock_error_ms=0,
                whole_seconds=False,
            )
            for crossing, each in enumerate(registered)
        )
        streets = joined([(each.position.latitude, each.position.longitude) for each in registered])
        everywhere = tuple(range(len(devices)))
        villages = tuple(each.crossing for each in devices if not each.authorised)
        districts = tuple(sorted({each.district for each in devices}))
        return City(streets, districts, devices, (everywhere,), (villages,))


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
