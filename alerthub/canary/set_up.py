"""The folder that two persons make: who the canary is, and what it reads. `alerthub canary` writes it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

from alerthub.domain.canary import JURISDICTION, UNIT_KIND
from alerthub.domain.errors import NotFound, Refuse
from alerthub.embedded.folder import write_file
from alerthub.settings import TlsSettings
from alerthub.terminal.enrolment import TerminalIdentity, load_identity

EDGE, UNIT, TERMINAL, ACCOUNT = f"{JURISDICTION}-edge", UNIT_KIND, "canary-terminal", "canary"
_FILE, _PASSWORD = "canary.json", "officer.password"


@dataclass(frozen=True, slots=True)
class SetUp:
    """What there is so far. `lane`: how many entries one gateway takes in turn."""

    devices: tuple[str, ...] = ()
    lane: int = 0
    proposal_id: str = ""
    """Of its account, which waits for its second person."""
    entries: tuple[str, ...] = ()
    """Their ids; entry n has the canary's plate n."""
    approved: bool = False
    valid_until_ms: int = 0

    @property
    def lanes(self) -> int:
        """For how many gateways it is."""
        return len(self.entries) // self.lane if self.lane else 0


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the canary is, at each door."""

    set_up: SetUp
    edge: TlsSettings
    terminal: TerminalIdentity
    password: str = field(repr=False)


class SetUpFolder:
    """One folder, flat, so that it can be a volume or a Secret."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def password_file(self) -> Path:
        """Of the canary's account."""
        return self.root / _PASSWORD

    @property
    def edge(self) -> TlsSettings:
        """Of the edge server."""
        return TlsSettings(
            certificate_file=self.root / "edge.pem",
            key_file=self.root / "edge.key",
            ca_file=self.root / "authority.pem",
        )

    def read(self) -> SetUp:
        """What was written. Refuse where it is nothing of this program."""
        try:
            content = json.loads((self.root / _FILE).read_text(encoding="utf-8"))
            return SetUp(
                devices=tuple(map(str, content["devices"])),
                lane=int(content["lane"]),
                proposal_id=str(content["proposal_id"]),
                entries=tuple(map(str, content["entries"])),
                approved=bool(content["approved"]),
                valid_until_ms=int(content["valid_until_ms"]),
            )
        except FileNotFoundError:
            return SetUp()
        except (ValueError, TypeError, KeyError):
            raise Refuse(str(self.root / _FILE), "what `alerthub canary` has written") from None

    def change(self, **changes: object) -> SetUp:
        """Writes the fields anew, and keeps the others."""
        changed = replace(self.read(), **changes)  # type: ignore[arg-type]
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        content = {name: getattr(changed, name) for name in SetUp.__slots__}
        write_file(self.root / _FILE, json.dumps(content) + "\n", mode=0o600)
        return changed

    def missing(self) -> tuple[str, ...]:
        """What persons have still to do, a sentence each."""
        known = self.read()
        found = []
        if not known.devices or not self.edge.certificate_file.exists() or not self._terminal_enrolled():
            found.append("a registry editor has to propose it: alerthub canary propose")
        if not self.password_file.exists():
            found.append("another registry editor has to approve its account: alerthub canary approve")
        if not known.entries:
            found.append("a watchlist editor has to list its plates: alerthub canary list-plates")
        if not known.approved:
            found.append("another person has to approve its plates: alerthub canary approve-plates")
        return tuple(found)

    def identity(self) -> Identity:
        """Everything that the program needs. Raises NotFound, saying what is missing."""
        missing = self.missing()
        if missing:
            raise NotFound("set_up_folder", "; ".join(missing))
        password = self.password_file.read_text(encoding="utf-8").strip()
        return Identity(self.read(), self.edge, load_identity(self.root), password)

    def _terminal_enrolled(self) -> bool:
        try:
            load_identity(self.root)
        except NotFound:
            return False
        return (self.root / "terminal.pem").exists()
