"""The hash chain of the audit log, and its verifier (C16). Pure: the same on the hub and on an examiner's own
machine.

A row's hash is SHA-256 over its place in the chain, the hash before it and every field, each with its length,
so that no two different rows have the same bytes. A head names the newest link and is signed; heads are kept
outside the database, so rows that were rewritten or cut off together with their hashes still contradict a
head.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from alerthub.domain.restores import Restore, restore_of

GENESIS_HASH = bytes(32)
"""What the first link names as the hash before it."""
_ROW_FORMAT = b"alerthub audit row 1"
_HEAD_FORMAT = b"alerthub audit head 1"


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One row. `chain_index` counts from 1; 0 says that the row is not chained yet (its hashes are empty
    then).
    """

    row_id: str
    time_ms: int
    service: str
    actor: str
    action: str
    subject: str
    reason: str
    detail: str
    chain_index: int = 0
    previous_hash: bytes = b""
    hash: bytes = b""


@dataclass(frozen=True, slots=True)
class AuditHead:
    """The newest link of a service's chain at a time, and the signature over it."""

    service: str
    chain_index: int
    hash: bytes
    time_ms: int
    signature: bytes = b""
    signer_pem: str = ""
    """The certificate or public key (PEM) that verifies the signature."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The first thing that is wrong: where, and one sentence for people. `chain_index` 0: not at one row."""

    service: str
    chain_index: int
    row_id: str
    problem: str


@dataclass(frozen=True, slots=True)
class Loss:
    """Rows that a restore lost: signed heads name links after the backup's last one, and the chain has others
    in their places, or none.

    A row that says so is no proof: whoever may write the database can write it. So a loss is told each time,
    and the log counts as intact only for who names the backup.
    """

    service: str
    backup_id: str
    restored_at_link: int
    first_link: int
    last_witnessed_link: int

    @property
    def rows(self) -> int:
        """How many rows were lost at least: those that a head vouches for."""
        return self.last_witnessed_link - self.first_link + 1


@dataclass(frozen=True, slots=True)
class Verification:
    """What the verifier saw. `finding` None and no loss: every row stands as it was recorded, up to the
    newest head."""

    rows: int
    chained: int
    unchained: int
    heads: int
    finding: Finding | None
    losses: tuple[Loss, ...] = ()

    @property
    def intact(self) -> bool:
        return self.finding is None and not self.losses

    def accepting(self, backup_ids: Iterable[str]) -> bool:
        """Whether the log is intact for who knows of the restores from these backups."""
        return self.finding is None and {loss.backup_id for loss in self.losses} <= set(backup_ids)


def _with_length(value: bytes) -> bytes:
    return struct.pack(">Q", len(value)) + value


def link_hash(row: AuditRow, *, chain_index: int, previous_hash: bytes) -> bytes:
    """The hash of `row` as link `chain_index` after `previous_hash`. 32 bytes."""
    digest = hashlib.sha256(_ROW_FORMAT)
    digest.update(struct.pack(">Q", chain_index))
    digest.update(_with_length(previous_hash))
    digest.update(struct.pack(">q", row.time_ms))
    for text in (row.row_id, row.service, row.actor, row.action, row.subject, row.reason, row.detail):
        digest.update(_with_length(text.encode("utf-8")))
    return digest.digest()


def chain(rows: Iterable[AuditRow], *, last_index: int, last_hash: bytes) -> list[AuditRow]:
    """The rows, in the order given, as the links that follow link `last_index` (0: the first ones)."""
    linked = []
    for row in rows:
        last_index += 1
        row_hash = link_hash(row, chain_index=last_index, previous_hash=last_hash)
        linked.append(replace(row, chain_index=last_index, previous_hash=last_hash, hash=row_hash))
        last_hash = row_hash
    return linked


def head_bytes(head: AuditHead) -> bytes:
    """What is signed: every field of the head but the signature and the signer."""
    return b"".join(
        (
            _with_length(_HEAD_FORMAT),
            _with_length(head.service.encode("utf-8")),
            struct.pack(">Qq", head.chain_index, head.time_ms),
            _with_length(head.hash),
        )
    )


def verify(
    rows: Sequence[AuditRow],
    heads: Sequence[AuditHead],
    *,
    signature_problem: Callable[[AuditHead], str | None],
) -> Verification:
    """Holds the rows of one service against their chain and against the heads.

    Finds a row that was changed, added, moved or taken out, a tail that was cut off, a head that the rows
    contradict and a head whose signature does not hold. `signature_problem` says what is wrong with a head's
    signature, or None. Rows that are not chained yet are counted: nothing protects them. Without heads a
    chain that was cut off at its end, or computed again as a whole, looks right; that is what heads are for.
    Heads of rows that a recorded restore lost are no finding but a loss.
    """
    chained = [row for row in rows if row.chain_index > 0 or row.hash or row.previous_hash]
    losses: dict[str, Loss] = {}
    finding = _verify_rows(rows, chained) or _verify_heads(chained, heads, signature_problem, losses)
    return Verification(
        rows=len(rows),
        chained=len(chained),
        unchained=len(rows) - len(chained),
        heads=len(heads),
        finding=finding,
        losses=tuple(losses.values()),
    )


def _verify_rows(rows: Sequence[AuditRow], chained: Sequence[AuditRow]) -> Finding | None:
    seen: set[str] = set()
    for row in rows:
        if row.row_id in seen:
            return Finding(row.service, row.chain_index, row.row_id, "the row is there twice")
        seen.add(row.row_id)
    if any(row.chain_index == 0 and not row.hash for row in rows[: len(chained)]):
        return Finding("", 0, "", "a row that is not chained stands before one that is")
    previous_hash = GENESIS_HASH
    service = rows[0].service if rows else ""
    for expected, row in enumerate(chained, start=1):
        where = (row.service, expected, row.row_id)
        if row.service != service:
            return Finding(*where, f"the row is of service {row.service}, the chain of {service}")
        if row.chain_index != expected:
            return Finding(
                *where,
                f"link {expected} is missing or out of order: link {row.chain_index} stands in its place",
            )
        if row.previous_hash != previous_hash:
            return Finding(
                *where, "the row does not follow the one before it: it names another previous hash"
            )
        if link_hash(row, chain_index=expected, previous_hash=previous_hash) != row.hash:
            return Finding(*where, "the row is not what was recorded: its hash does not fit its content")
        previous_hash = row.hash
    return None


def _verify_heads(
    chained: Sequence[AuditRow],
    heads: Sequence[AuditHead],
    signature_problem: Callable[[AuditHead], str | None],
    losses: dict[str, Loss],
) -> Finding | None:
    service = chained[0].service if chained else (heads[0].service if heads else "")
    restores = _restores(chained)
    for head in heads:
        where = (head.service, head.chain_index)
        problem = signature_problem(head)
        if problem is not None:
            return Finding(*where, "", f"the head's signature does not hold: {problem}")
        if head.service != service:
            return Finding(*where, "", f"the head is of service {head.service}, the rows of {service}")
        if _stands(chained, head):
            continue
        loss = _lost_by_restore(restores, head)
        if loss is not None:
            known = losses.get(loss.backup_id, loss)
            losses[loss.backup_id] = max(known, loss, key=lambda each: each.last_witnessed_link)
            continue
        if head.chain_index > len(chained):
            return Finding(
                *where,
                "",
                f"rows are cut off: a signed head names link {head.chain_index}, the last is {len(chained)}",
            )
        row_id = chained[head.chain_index - 1].row_id if head.chain_index else ""
        return Finding(*where, row_id, "the row was rewritten: a signed head names another hash for it")
    return None


def _stands(chained: Sequence[AuditRow], head: AuditHead) -> bool:
    if head.chain_index > len(chained):
        return False
    return head.hash == (GENESIS_HASH if head.chain_index == 0 else chained[head.chain_index - 1].hash)


def _restores(chained: Sequence[AuditRow]) -> list[tuple[AuditRow, Restore]]:
    found = ((row, restore_of(action=row.action, subject=row.subject, detail=row.detail)) for row in chained)
    return [(row, restore) for row, restore in found if restore is not None]


def _lost_by_restore(restores: Sequence[tuple[AuditRow, Restore]], head: AuditHead) -> Loss | None:
    """The loss that explains the head: a later restore from a backup that ended before the head's link."""
    for row, restore in restores:
        if restore.last_link < head.chain_index and head.time_ms <= row.time_ms:
            return Loss(
                service=head.service,
                backup_id=restore.backup_id,
                restored_at_link=row.chain_index,
                first_link=restore.last_link + 1,
                last_witnessed_link=head.chain_index,
            )
    return None
