"""Writes `services/console/web/openapi.json`, from which the page's types are generated. `--check` only says
whether what is committed is current."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from services.console.http_api import Parts, build_app, openapi_document  # noqa: E402

TARGET = ROOT / "services" / "console" / "web" / "openapi.json"


def _no_parts() -> Parts:
    raise RuntimeError("the interface is described, not served")


def document() -> str:
    """The interface of the console as text."""
    return json.dumps(openapi_document(build_app(_no_parts)), ensure_ascii=False, indent=2) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    made = document()
    if check:
        if not TARGET.exists() or TARGET.read_text(encoding="utf-8") != made:
            raise SystemExit(
                f"{TARGET.relative_to(ROOT)} is not current: .venv/bin/python tools/generate_openapi.py"
            )
        return
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(made, encoding="utf-8")


if __name__ == "__main__":
    main()
