"""Writes down what a release puts on Kafka and into its schemas, for the tests of upgrades:

    .venv/bin/python tools/record_release.py 0.2.0

`tests/contract/releases/wire-VERSION.json`: a value of every kind, with every field set, as bytes and as it
is read. `tests/contract/releases/migrations.txt`: the migrations that have been released, with the digest of
what they do. To be run once, when a release is made (docs/upgrading.md).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "tests" / "contract"))

from release_records import MIGRATIONS_FILE, RELEASES, every_migration, wire_records  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("version")
    version = parser.parse_args().version
    RELEASES.mkdir(exist_ok=True)
    wire = json.dumps(wire_records(), ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    (RELEASES / f"wire-{version}.json").write_text(wire, encoding="utf-8")
    known = MIGRATIONS_FILE.read_text(encoding="utf-8") if MIGRATIONS_FILE.exists() else ""
    released = {tuple(line.split()[:2]) for line in known.splitlines()}
    new = [
        f"{each.schema} {each.revision} {each.digest} {version}\n"
        for each in every_migration()
        if (each.schema, each.revision) not in released
    ]
    MIGRATIONS_FILE.write_text(known + "".join(new), encoding="utf-8")


if __name__ == "__main__":
    main()
