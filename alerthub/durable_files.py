"""Files that are there after a loss of power."""

from __future__ import annotations

import os
from pathlib import Path


def synchronise_folder(folder: Path) -> None:
    """Returns once the folder's entries, new names and deletions, are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
