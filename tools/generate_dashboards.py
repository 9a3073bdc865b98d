"""Writes the dashboards and the objectives' rules; with --check, says which are not as it writes them."""

from __future__ import annotations

import sys
from pathlib import Path

import yaml
from dashboards import accountability, correlator, dispatch, infrastructure, ingest, objectives, office
from grafana_foundation_sdk.cog.encoder import JSONEncoder

ROOT = Path(__file__).resolve().parents[1]
PAGES = (office.PAGE, ingest.PAGE, correlator.PAGE, dispatch.PAGE, infrastructure.PAGE, accountability.PAGE)
_HEAD = "# Written by `make dashboards` from tools/dashboards: edit it there.\n"


def files() -> dict[Path, str]:
    """Each file's path below the repository, and its text."""
    rules = yaml.safe_dump(objectives.rules(), sort_keys=False, width=110, allow_unicode=True)
    written = {Path("deploy/prometheus/rules/objectives.yml"): _HEAD + rules}
    for page in PAGES:
        encoded = JSONEncoder(sort_keys=True, indent=2).encode(page.built())
        written[Path(f"deploy/grafana/dashboards/{page.uid}.json")] = encoded + "\n"
    return written


def main(arguments: list[str]) -> int:
    """0: done, or nothing differs."""
    wanted = files()
    differing = [
        path
        for path, text in wanted.items()
        if not (ROOT / path).is_file() or (ROOT / path).read_text(encoding="utf-8") != text
    ]
    if arguments == ["--check"]:
        for path in differing:
            print(
                f"{path} is not what tools/generate_dashboards.py writes: run `make dashboards`",
                file=sys.stderr,
            )
        return 1 if differing else 0
    for path in differing:
        (ROOT / path).write_text(wanted[path], encoding="utf-8")
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
