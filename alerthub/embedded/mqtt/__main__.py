"""`python -m alerthub.embedded.mqtt`."""

from __future__ import annotations

from alerthub.embedded.mqtt.service import build
from alerthub.embedded.mqtt.settings import BrokerSettings
from alerthub.process import main

if __name__ == "__main__":
    main(BrokerSettings(), build)
