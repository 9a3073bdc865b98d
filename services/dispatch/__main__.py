"""`python -m services.dispatch`."""

from __future__ import annotations

from alerthub.process import main
from services.dispatch.service import build
from services.dispatch.settings import DispatchSettings

if __name__ == "__main__":
    main(DispatchSettings(), build)
