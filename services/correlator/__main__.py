"""`python -m services.correlator`."""

from __future__ import annotations

from alerthub.process import main
from services.correlator.service import build
from services.correlator.settings import CorrelatorSettings

if __name__ == "__main__":
    main(CorrelatorSettings(), build)
