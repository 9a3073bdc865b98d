"""The registry's settings."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from alerthub.domain.versions import ACTIVATION_LEAD_MS
from alerthub.settings import ServiceSettings


class RegistrySettings(ServiceSettings):
    """What the registry needs beyond every service's settings."""

    service: str = "registry"
    token_signing_key_file: Path = Path("pki/token.key")
    """Ed25519 private key (PEM) that signs persons' tokens. The registry alone has it."""
    authority_key_file: Path = Path("pki/authority.key")
    """Private key (PEM) of `tls.ca_file`, which signs certificates of terminals and devices."""
    bootstrap_accounts_file: Path | None = None
    """The accounts that the hub begins with, made while there are none: JSON {"loopback_only": false,
    "accounts": [{"account": NAME, "password": TEXT, "roles": ["ROLE_OPERATOR", ...]}]}."""
    activation_lead_ms: int = Field(default=ACTIVATION_LEAD_MS, ge=ACTIVATION_LEAD_MS, le=3_600_000)
    """How far ahead of its activation a version is published: time for every consumer to have it when it
    comes into force, so that all evaluate a batch with the same versions (C5)."""
    enrolment_code_minutes: int = Field(default=60, ge=1, le=60)
    """How long a terminal's code works: an hour at most, as the database also says."""
    terminal_certificate_days: int = Field(default=90, ge=1, le=397)
    """A lost terminal that nobody reports stops working within this time."""
    device_certificate_days: int = Field(default=365, ge=1, le=397)
    """Somebody has to go to the device to renew it."""
    command_memory_days: int = Field(default=7, ge=1, le=90)
    """For how long a repeated command gets the first answer."""
    sign_in_concurrency: int = Field(default=2, ge=1, le=16)
    """Passwords verified at the same time: each takes 64 MiB and a core for about 50 ms."""
    sign_in_queue: int = Field(default=64, ge=1, le=1024)
    """Sign-ins that wait for their turn. More are asked to come again: memory stays bounded."""
