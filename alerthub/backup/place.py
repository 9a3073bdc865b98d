"""Where a hub's things lie: what a backup is taken of, and what it is restored to.

The three deployments differ in addresses and credentials only, so this is all that tells them apart.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict

from alerthub.domain.errors import Refuse
from alerthub.keys import FileKeyProvider
from alerthub.settings import PostgresSettings

NO_ENTRY_KEY = "none"


@dataclass(frozen=True, slots=True)
class HubPlace:
    """One hub's database (as its administrator), picture store and files."""

    postgres: PostgresSettings
    evidence_url: str
    witness: Path
    """The folder of the witness files, *.heads."""
    authority_key_file: Path
    ca_file: Path
    digest_key_file: Path
    keys: Path
    """The key provider's folder. It is looked at, never copied."""

    def identity_files(self) -> dict[str, Path]:
        """By name in the backup: what makes a restored hub the same one for terminals and devices."""
        return {
            "ca.pem": self.ca_file,
            "authority.key": self.authority_key_file,
            "gateway-digest.key": self.digest_key_file,
        }

    def entry_key_check(self) -> str:
        """A keyed hash of a constant: equal where the folder holds the key that seals entries'
        identifiers."""
        if not (self.keys / "long-lived" / "entry.key").exists():
            return NO_ENTRY_KEY
        key = FileKeyProvider(self.keys).entry_key()
        return hmac.digest(key, b"alerthub entry key check 1", hashlib.sha256).hex()[:32]


class PlaceSettings(BaseSettings):
    """The place of a hub outside one data folder, from the environment as for services (ALERTHUB_*)."""

    model_config = SettingsConfigDict(env_prefix="ALERTHUB_", env_nested_delimiter="__", extra="ignore")

    postgres: PostgresSettings = PostgresSettings()
    """As an administrator: it reads all schemas, and makes a database when it restores."""
    evidence_url: str = ""
    witness_folder: Path | None = None
    authority_key_file: Path | None = None
    ca_file: Path | None = None
    digest_key_file: Path | None = None
    keys_folder: Path | None = None

    def place(self) -> HubPlace:
        """Refuses where one is missing, by its name in the environment."""
        found: dict[str, Path] = {}
        for name in ("witness_folder", "authority_key_file", "ca_file", "digest_key_file", "keys_folder"):
            path: Path | None = getattr(self, name)
            if path is None:
                raise Refuse(f"ALERTHUB_{name.upper()}", "a path: the data folder holds no hub")
            found[name] = path
        if not self.postgres.role or not self.evidence_url:
            raise Refuse(
                "ALERTHUB_POSTGRES__ROLE, ALERTHUB_EVIDENCE_URL", "both: the data folder holds no hub"
            )
        return HubPlace(
            postgres=self.postgres,
            evidence_url=self.evidence_url,
            witness=found["witness_folder"],
            authority_key_file=found["authority_key_file"],
            ca_file=found["ca_file"],
            digest_key_file=found["digest_key_file"],
            keys=found["keys_folder"],
        )
