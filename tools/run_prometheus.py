"""Runs Prometheus with the hub's rules over a running embedded hub, until Ctrl-C.

It reads deploy/prometheus as compose does; only the file that names who is scraped is the hub's own. What it
has collected lies in a temporary folder and goes with it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy" / "prometheus"


def program(name: str) -> str:
    """The path of prometheus, promtool or amtool. Exits with what to do where it is missing."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    unpacked = cache / "alerthub" / "prometheus" / "usr" / "bin" / name
    found = str(unpacked) if unpacked.exists() else shutil.which(name)
    if found is None:
        sys.exit(f"{name} is missing: `make prometheus` fetches it")
    return found


def lay_out(folder: Path, *, data: Path, interval: str) -> Path:
    """Makes Prometheus's folder for the hub in `data`; returns the configuration's path."""
    targets = data / "metrics-targets.json"
    if not targets.exists():
        sys.exit(f"{data} is no folder of a hub that has run: start one with `alerthub up --data {data}`")
    configuration = yaml.safe_load((DEPLOY / "prometheus.yml").read_text(encoding="utf-8"))
    configuration["global"] |= {
        "scrape_interval": interval,
        "scrape_timeout": interval,
        "evaluation_interval": interval,
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration), encoding="utf-8")
    (folder / "rules").symlink_to(DEPLOY / "rules")
    for name in ("targets", "alertmanagers"):
        (folder / name).mkdir()
    (folder / "targets" / "hub.json").symlink_to(targets.resolve())
    return folder / "prometheus.yml"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="Example: tools/run_prometheus.py --data .alerthub"
    )
    parser.add_argument("--data", type=Path, required=True, help="the hub's data folder")
    parser.add_argument("--port", type=int, default=9090, help="on the loopback; 9090 by default")
    parser.add_argument("--interval", default="5s", help="between scrapes; 5s by default")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory(prefix="alerthub-prometheus-") as made:
        folder = Path(made)
        configuration = lay_out(folder, data=asked.data.absolute(), interval=asked.interval)
        running = subprocess.Popen(
            [
                program("prometheus"),
                f"--config.file={configuration}",
                f"--storage.tsdb.path={folder / 'series'}",
                f"--web.listen-address=127.0.0.1:{asked.port}",
                "--log.level=warn",
            ]
        )
        print(f"http://127.0.0.1:{asked.port}/alerts", flush=True)
        try:
            return running.wait()
        except KeyboardInterrupt:
            return 0
        finally:
            running.terminate()
            running.wait(30)


if __name__ == "__main__":
    sys.exit(main())
