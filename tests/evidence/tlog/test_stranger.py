"""A record, its proof and the log's key, checked with a shell, openssl and nothing of ours."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from written import Written

from outbounds.evidence.archive.reading import Stored, fetch
from outbounds.evidence.line import leaf_of
from outbounds.evidence.tlog.log_tree import LogTree
from outbounds.evidence.tlog.note import Verifier
from outbounds.evidence.tlog.proof import Proof

SCRIPT = Path(__file__).with_name("stranger.sh")
DER = bytes.fromhex("302a300506032b6570032100")  # SubjectPublicKeyInfo of Ed25519, RFC 8410

pytestmark = pytest.mark.skipif(not (shutil.which("openssl") and shutil.which("xxd")),
                                reason="openssl and xxd are not here")


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = Written(tmp_path_factory.mktemp("log"))
    for count in (300, 77):
        made.run(count)
    made.seal()
    subprocess.run(["openssl", "pkey", "-pubin", "-inform", "DER", "-out",
                    str(made.directory / "key.pem")], input=DER + made.verifier.key, check=True)
    return made.directory


def stranger(folder: Path, proof: str, record: bytes,
             key: Path) -> subprocess.CompletedProcess[str]:
    (folder / "proof").write_text(proof)
    (folder / "record").write_bytes(record)
    return subprocess.run(["sh", str(SCRIPT), str(folder / "proof"), str(folder / "record"),
                           str(key)], capture_output=True, text=True, check=False)


def proved(log: Path, position: int) -> tuple[str, Stored]:
    tree = LogTree.open(log)
    (stored,) = fetch(log, [position])
    return str(Proof(position, tuple(tree.inclusion(position)), tree.note)), stored


@pytest.mark.parametrize("position", [0, 255, 299, 376])
def test_a_record_is_in_the_log(log: Path, tmp_path: Path, position: int) -> None:
    proof, stored = proved(log, position)
    done = stranger(tmp_path, proof, stored.envelope, log / "key.pem")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(f"record {position} of 377 is in the log of outbounds/")


@pytest.mark.parametrize(("old", "new", "text"), [
    ("377\n", "378\n", "signature is wrong"), ("index 200", "index 201", "another root"),
    ("index 200", "index 1000", "another root|too few steps")])
def test_a_lie_is_found(log: Path, tmp_path: Path, old: str, new: str, text: str) -> None:
    proof, stored = proved(log, 200)
    assert old in proof
    done = stranger(tmp_path, proof.replace(old, new), stored.envelope, log / "key.pem")
    assert done.returncode == 1 and any(each in done.stdout for each in text.split("|"))


def test_another_record_is_not_in_its_place(log: Path, tmp_path: Path) -> None:
    proof, stored = proved(log, 200)
    done = stranger(tmp_path, proof, stored.envelope.replace(b"account-", b"accounT-"),
                    log / "key.pem")
    assert (done.returncode, done.stdout) == (1, "another root\n")


def test_a_detail_is_what_the_record_says(log: Path) -> None:
    """`printf %s "$detail" | sha256sum`"""
    stored = next(each for each in fetch(log, range(200)) if each.detail)
    done = subprocess.run(["sha256sum"], input=stored.detail, capture_output=True, check=True)
    assert b'"outbounds.detail.sha256":"%b"' % done.stdout.split()[0] in stored.envelope


def test_ours_says_the_same(log: Path) -> None:
    proof, stored = proved(log, 200)
    verifier = Verifier.parse((log / "log" / "keys").read_text().splitlines()[2])
    checkpoint = Proof.parse(proof).check(leaf_of(stored.envelope), [verifier])
    assert checkpoint.size == 377
