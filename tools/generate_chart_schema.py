"""Writes what a service's `settings` may be into `charts/alerthub/values.schema.json`: the fields of its
settings class with their bounds, without those that the chart decides. The rest of the file is written by
hand. `--check` only says whether what is committed is current."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from alerthub.canary.settings import CanarySettings  # noqa: E402
from alerthub.provision.containers import CONTAINERS  # noqa: E402
from alerthub.settings import ServiceSettings  # noqa: E402
from services.console.settings import ConsoleSettings  # noqa: E402
from services.correlator.settings import CorrelatorSettings  # noqa: E402
from services.dispatch.settings import DispatchSettings  # noqa: E402
from services.gateway.settings import GatewaySettings  # noqa: E402
from services.push.settings import PushSettings  # noqa: E402
from services.registry.settings import RegistrySettings  # noqa: E402
from services.watchlist.settings import WatchlistSettings  # noqa: E402

TARGET = ROOT / "charts" / "alerthub" / "values.schema.json"

CLASSES: tuple[type[ServiceSettings], ...] = (
    RegistrySettings,
    WatchlistSettings,
    DispatchSettings,
    PushSettings,
    ConsoleSettings,
    CorrelatorSettings,
    GatewaySettings,
    CanarySettings,
)
SETTINGS = {each.name: kind for each, kind in zip(CONTAINERS, CLASSES, strict=True)}

DECIDED = {
    # One of all instances' own, or the listeners of the table.
    "service",
    "instance",
    "listen_host",
    "http_port",
    "grpc_port",
    "grpc_person_port",
    "operations_port",
    # Values of the chart beside `services`.
    "partitions",
    "observations_retention_seconds",
    "observations_retention_minutes",
    "picture_retention_ms",
    "evidence_url",
    "witness_url",
    "mqtt_username",
    "gateway_instances",
    # Plain HTTP needs a listener, a rule and an address of its own, which the chart does not offer.
    "plain_http_port",
    "plain_http_host",
}
"""Numbers and texts that the chart decides. Files, addresses and groups of fields are its own anyway."""

_BOUNDS = ("type", "enum", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "maxLength")


def of_service(service: str) -> dict[str, Any]:
    """The schema of `services.NAME.settings`."""
    fields = SETTINGS[service].model_json_schema()["properties"]
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            name: {bound: field[bound] for bound in _BOUNDS if bound in field}
            for name, field in sorted(fields.items())
            if name not in DECIDED and field.get("type") in {"integer", "number", "string"}
            if field.get("format") != "path"
        },
    }


def document() -> str:
    """The schema as text, with what the settings say now."""
    schema = json.loads(TARGET.read_text(encoding="utf-8"))
    kept = {name: of for name, of in schema["definitions"].items() if not name.startswith("settings-")}
    schema["definitions"] = kept | {f"settings-{service}": of_service(service) for service in SETTINGS}
    return json.dumps(schema, ensure_ascii=False, indent=2) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    made = document()
    if not check:
        TARGET.write_text(made, encoding="utf-8")
    elif TARGET.read_text(encoding="utf-8") != made:
        raise SystemExit(
            f"{TARGET.relative_to(ROOT)} is not current: .venv/bin/python tools/generate_chart_schema.py"
        )


if __name__ == "__main__":
    main()
