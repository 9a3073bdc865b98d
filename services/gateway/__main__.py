"""`python -m services.gateway`."""

from __future__ import annotations

from alerthub.process import main
from services.gateway.service import build
from services.gateway.settings import GatewaySettings

if __name__ == "__main__":
    main(GatewaySettings(), build)
