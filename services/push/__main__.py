"""`python -m services.push`."""

from __future__ import annotations

from alerthub.process import main
from services.push.service import build
from services.push.settings import PushSettings

if __name__ == "__main__":
    main(PushSettings(), build)
