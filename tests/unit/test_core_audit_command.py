"""`alerthub audit verify` on a file, without the hub."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from core_authority import Authority
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from alerthub import audit_file
from alerthub.audit_signing import HeadSigner
from alerthub.cli import audit as command
from alerthub.domain.audit_chain import GENESIS_HASH, AuditHead, AuditRow, chain
from alerthub.domain.errors import Refuse

application = typer.Typer()
command.register(application)
runner = CliRunner()


class Log:
    """An export of the registry's log, its witness, and the authority under which its head is signed."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority.create(folder / "pki")
        tls = self.authority.issue("spiffe://alerthub/service/registry")
        self.signer = HeadSigner.from_tls(tls)
        self.rows = chain(
            (
                AuditRow(f"row-{number}", number, "registry", "person:li.wei", "Tried", "entry:1", "", "")
                for number in range(5)
            ),
            last_index=0,
            last_hash=GENESIS_HASH,
        )
        self.export = folder / "export.jsonl"
        self.witness = folder / "witness.jsonl"
        self.ca_file = self.authority.folder / "ca.pem"
        self.witness.write_text(audit_file.head_line(self.head()) + "\n")
        self.write()

    def head(self, signer: HeadSigner | None = None) -> AuditHead:
        last = self.rows[-1]
        return (signer or self.signer).sign(AuditHead("registry", last.chain_index, last.hash, 9))

    def write(self) -> None:
        self.export.write_text("".join(audit_file.row_line(row) + "\n" for row in self.rows))


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


def verify(log: Log, *options: str) -> tuple[int, str]:
    result = runner.invoke(application, ["audit", "verify", str(log.export), *options])
    return result.exit_code, result.output


def test_a_whole_log_is_intact(log: Log) -> None:
    code, said = verify(log, "--heads", str(log.witness), "--authority", str(log.ca_file))
    assert (code, "Intact: 5 rows, 5 in the chain, 1 signed heads." in said) == (0, True)


def test_without_heads_it_says_what_it_cannot_see(log: Log) -> None:
    code, said = verify(log)
    assert code == 0
    assert "give --heads" in said


def test_the_first_bad_row_is_named(log: Log) -> None:
    log.export.write_text(log.export.read_text().replace('"row-2"', '"row-x"'))
    code, said = verify(log)
    assert code == 1
    assert "link 3 (row row-x)" in said


def test_a_cut_tail_is_found_by_the_witness(log: Log) -> None:
    log.rows.pop()
    log.write()
    code, said = verify(log, "--heads", str(log.witness))
    assert code == 1
    assert "cut off" in said


def test_heads_of_another_service_in_the_witness_are_not_this_logs(log: Log) -> None:
    other = log.signer.sign(AuditHead("dispatch", 99, bytes(32), 9))
    log.witness.write_text(log.witness.read_text() + audit_file.head_line(other) + "\n")
    assert verify(log, "--heads", str(log.witness))[0] == 0


@pytest.mark.parametrize("uri", ["spiffe://alerthub/service/dispatch", "spiffe://alerthub/terminal/registry"])
def test_a_head_that_somebody_else_signed_is_found_by_the_authority(log: Log, uri: str) -> None:
    other = HeadSigner.from_tls(log.authority.issue(uri, file_name="other"))
    log.witness.write_text(audit_file.head_line(log.head(other)) + "\n")
    code, said = verify(log, "--heads", str(log.witness), "--authority", str(log.ca_file))
    assert code == 1
    assert "signature does not hold" in said


def test_a_head_under_another_authority_is_found(log: Log, tmp_path: Path) -> None:
    stranger = Authority.create(tmp_path / "stranger").issue("spiffe://alerthub/service/registry")
    log.witness.write_text(audit_file.head_line(log.head(HeadSigner.from_tls(stranger))) + "\n")
    code, _ = verify(log, "--heads", str(log.witness), "--authority", str(log.ca_file))
    assert code == 1


def test_json_is_for_machines(log: Log) -> None:
    log.rows.pop(1)
    log.write()
    code, said = verify(log, "--json")
    assert code == 1
    result = json.loads(said)
    assert (result["ok"], result["finding"]["chain_index"]) == (False, 2)


def test_half_a_character_is_refused(log: Log) -> None:
    log.export.write_text(log.export.read_text().replace('"entry:1"', '"\\ud800"', 1))
    code, said = verify(log)
    assert code == 2
    assert "line 1" in said


@pytest.mark.parametrize(
    "line", ["", "{", "[]", '{"type": "row"}', '{"type": "other"}', "7", '{"type":"head","service":1}']
)
def test_a_line_that_is_neither_row_nor_head_is_named(log: Log, line: str) -> None:
    log.export.write_text(log.export.read_text() + line + "\n" + "x\n" * (not line))
    code, said = verify(log)
    assert code == 2
    assert "line" in said
    assert len(said.strip().splitlines()) == 1


def test_a_file_that_is_not_there_is_one_sentence(log: Log) -> None:
    log.export.unlink()
    code, said = verify(log)
    assert code == 2
    assert "a file that can be read" in said


@given(st.builds(AuditRow, *[st.text()], st.integers(0, 2**62), *[st.text()] * 6, st.integers(0, 2**62)))
def test_a_row_survives_its_line(row: AuditRow) -> None:
    assert audit_file.parse([audit_file.row_line(row)]).rows == (row,)


@given(st.text(min_size=1, max_size=300).filter(lambda noise: noise.strip() and not noise.isspace()))
def test_noise_is_refused_and_not_repeated(noise: str) -> None:
    with pytest.raises(Refuse) as refused:
        audit_file.parse([noise])
    assert refused.value.field == "line 1"
    assert refused.value.expected == "a row or a head of an audit export, as one JSON object"
