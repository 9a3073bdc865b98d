"""`python -m services.console`."""

from __future__ import annotations

from alerthub.process import main
from services.console.service import build
from services.console.settings import ConsoleSettings

if __name__ == "__main__":
    main(ConsoleSettings(), build)
