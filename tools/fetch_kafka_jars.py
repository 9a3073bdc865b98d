"""Fetches Kafka's jars into the user's cache, so that the first start does not wait for them; `--into FOLDER`
copies them there as well, for an image."""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path

from alerthub.embedded.jars import cache_folder, class_path, locked_jars


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path)
    into = parser.parse_args().into
    jars = class_path(locked_jars(), cache=cache_folder(), progress=lambda line: print(line, flush=True))
    if into is not None:
        for path in jars.split(os.pathsep):
            shutil.copy(path, into)


if __name__ == "__main__":
    main()
