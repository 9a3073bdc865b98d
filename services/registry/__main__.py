"""`python -m services.registry`."""

from __future__ import annotations

from alerthub.process import main
from services.registry.service import build
from services.registry.settings import RegistrySettings

if __name__ == "__main__":
    main(RegistrySettings(), build)
