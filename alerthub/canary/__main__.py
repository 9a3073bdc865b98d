"""`python -m alerthub.canary`."""

from __future__ import annotations

from alerthub.canary.service import build
from alerthub.canary.settings import CanarySettings
from alerthub.process import main

if __name__ == "__main__":
    main(CanarySettings(), build)
