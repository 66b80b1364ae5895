"""Notes, checkpoints, proofs and keys as text: what is read, and everything that is not."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from outbounds.evidence.tlog.checkpoint import BadCheckpoint, Checkpoint
from outbounds.evidence.tlog.keys import KeyRing, KeyUnusable, parse_keys, read_keys
from outbounds.evidence.tlog.merkle import BadProof
from outbounds.evidence.tlog.note import BadNote, Signer, Verifier, open_note, sign, split
from outbounds.evidence.tlog.proof import Proof

# golang.org/x/mod/sumdb/note, Example: signed by an implementation that we did not write
NEUMANN = Verifier.parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
TEXT = ("If you think cryptography is the answer to your problem,\n"
        "then you don't know what your problem is.\n")
SIGNATURE = ("— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqf"
             "qdngotpRZb6KE6RyyBwJnAM=\n")
NOTE = f"{TEXT}\n{SIGNATURE}"

MINE = Signer("example.net/log", Ed25519PrivateKey.from_private_bytes(b"1" * 32))
OTHER = Signer("example.org/log", Ed25519PrivateKey.from_private_bytes(b"2" * 32))


def test_a_note_that_others_wrote() -> None:
    assert open_note(NOTE, [NEUMANN]) == (TEXT, [NEUMANN])
    assert str(NEUMANN) == "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"


def test_signatures_of_strangers_are_left_aside() -> None:
    note = sign(TEXT, [OTHER, MINE])
    assert open_note(note, [MINE.verifier]) == (TEXT, [MINE.verifier])
    assert open_note(note, [MINE.verifier, OTHER.verifier])[1] == [OTHER.verifier, MINE.verifier]


@pytest.mark.parametrize(("note", "text"), [
    ("", "no empty line"),
    (TEXT, "no empty line"),
    (f"{TEXT}\n", "no signature line|no empty line|no newline"),
    (NOTE[:-1], "no newline at its end"),
    (NOTE.replace("answer", "question"), "signature of PeterNeumann is wrong"),
    (NOTE.replace("x08go", "x08gp"), "by none of the keys"),
    (NOTE.replace("PeterNeumann ", "PeterNewmann "), "by none of the keys"),
    (NOTE.replace("— ", "- "), "no signature line"),
    (NOTE.replace("— PeterNeumann", "—PeterNeumann"), "no signature line"),
    (NOTE.replace("x08go", "x08g!"), "no signature line"),
    (NOTE.replace("nAM=", "nAN="), "no signature line"),     # bits that padding leaves over
    (NOTE.replace("nAM=", "nAM"), "no signature line"),
    (NOTE.replace("\n\n", "\n\n\n"), "signature of PeterNeumann is wrong"),
    (f"{NOTE}\n", "no signature line|no newline"),
    (f"{NOTE}{SIGNATURE[:-2]}\n", "no signature line"),
    (NOTE.replace("\n", "\r\n"), "control characters"),
    (NOTE.replace("you", "y\x00u"), "control characters"),
    (NOTE + "— x AAAAAAAA\n" * 101, "more than 100 signatures"),
    ("x" * 1_000_001, "larger than"),
])
def test_what_is_no_note(note: str, text: str) -> None:
    with pytest.raises(BadNote, match=text):
        open_note(note, [NEUMANN])


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(NOTE.encode()) * 8 - 1))
def test_no_bit_of_a_note_can_be_flipped(bit: int) -> None:
    octets = bytearray(NOTE.encode())
    octets[bit // 8] ^= 1 << bit % 8
    with pytest.raises((BadNote, UnicodeDecodeError)):
        open_note(octets.decode("utf-8"), [NEUMANN])


@given(st.text())
def test_any_text_is_a_note_or_is_not(text: str) -> None:
    for parse in (split, Checkpoint.parse, Proof.parse, Verifier.parse, parse_keys):
        try:
            parse(text)  # type: ignore[operator]
        except (BadNote, BadCheckpoint, BadProof):
            pass


@pytest.mark.parametrize("text", [
    "", "name", "name+c74f20a3", "name+c74f20a3+!!", "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqg=",
    "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",      # another id
    "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TX",      # another key
    "PeterNeumann+c74f20a3+Ahpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",      # another type
    "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
])
def test_what_is_no_verifier(text: str) -> None:
    with pytest.raises(BadNote):
        Verifier.parse(text)


ROOT = base64.b64encode(b"r" * 32).decode()


@pytest.mark.parametrize(("text", "what"), [
    ("", "three lines"),
    (f"log\n5\n{ROOT}", "three lines"),
    (f"log\n5\n\n{ROOT}\n", "three lines"),
    (f"log\n05\n{ROOT}\n", "'05' is no size"),
    (f"log\n-5\n{ROOT}\n", "'-5' is no size"),
    (f"log\n٥\n{ROOT}\n", "is no size"),
    (f"log\n5\n{ROOT[:-5]}\n", "no root hash"),
    (f"log\n5\n{ROOT[:-2]}J=\n", "no root hash"),
    (f"log\n5\n{ROOT.replace('c', '%')}\n", "no root hash"),
    (f"\n5\n{ROOT}\n", "three lines"),
])
def test_what_is_no_checkpoint(text: str, what: str) -> None:
    with pytest.raises(BadCheckpoint, match=what):
        Checkpoint.parse(text)


def test_a_checkpoint_is_written_as_it_was_read() -> None:
    text = f"example.net/log\n0\n{ROOT}\ntime 2026-11-21T12:03:07Z\nother\n"
    assert str(Checkpoint.parse(text)) == text
    assert Checkpoint.parse(text).at == 1795262587
    assert Checkpoint.parse(text.replace("12:03", "25:03")).at is None


# --- tlog-proof ---------------------------------------------------------------------------------

PROOF = str(Proof(5, (b"a" * 32, b"b" * 32), sign(f"example.net/log\n9\n{ROOT}\n", [MINE])))


def test_a_proof_is_written_as_it_was_read() -> None:
    assert str(Proof.parse(PROOF)) == PROOF
    extra = str(Proof(0, (), "x\n1\ny\n\n— z AAAAAAAA\n", b"more"))
    assert extra.splitlines()[1] == "extra bW9yZQ=="
    assert str(Proof.parse(extra)) == extra


@pytest.mark.parametrize(("old", "new"), [
    ("c2sp.org/tlog-proof@v1", "c2sp.org/tlog-proof@v2"), ("index 5", "index 05"),
    ("index 5", "index -1"), ("index 5", "index"), ("index 5\n", ""), ("\n\n", "\n"),
    ("index 5", "index 99999999999999999999"), ("YWFhYWFhYWE=", "YWFhYWFhYWE"),
    ("YWFhYWFhYWE=", "YWFhYWFhYWF="), ("index 5", "extra !\nindex 5"),
    ("index 5", "index 5\nYWFh"),
    ("index 5\n", "index 5\n" + f"{base64.b64encode(b'c' * 32).decode()}\n" * 62),
])
def test_what_is_no_proof(old: str, new: str) -> None:
    assert old in PROOF
    with pytest.raises(BadProof):
        Proof.parse(PROOF.replace(old, new, 1))


def test_a_proof_of_another_log_shows_nothing() -> None:
    with pytest.raises(BadProof, match="by none of the keys"):
        Proof.parse(PROOF).check(b"l" * 32, [OTHER.verifier])
    with pytest.raises(BadProof, match="too few steps"):
        Proof.parse(PROOF).check(b"l" * 32, [MINE.verifier])


# --- keys ---------------------------------------------------------------------------------------

def ring(tmp_path: Path, *replaced: float) -> KeyRing:
    found = KeyRing(tmp_path, "example.net", 1_000_000_000, valid=1_000_000)
    for at in replaced:
        found.replace(at)
    return found


def test_keys_follow_from_one_another(tmp_path: Path) -> None:
    made = ring(tmp_path, 1_000_000_100, 1_000_000_200)
    path = tmp_path / "keys"
    keys = read_keys(path)
    assert [each.begin for each in keys] == [1_000_000_000, 1_000_000_100, 1_000_000_200]
    assert made.signer.verifier == keys[2].verifier
    for at, each in enumerate(keys):
        assert read_keys(path, [each.verifier]) == keys[at:]
    with pytest.raises(KeyUnusable, match="none of these keys is the one that is trusted"):
        read_keys(path, [OTHER.verifier])
    (path,) = tmp_path.glob("key-*")
    assert path.name == f"key-{keys[2].verifier.id.hex()}.pem"


def test_keys_that_do_not_follow(tmp_path: Path) -> None:
    ring(tmp_path, 1_000_000_100)
    text = (tmp_path / "keys").read_text()
    first, second = [f"outbounds log key\n{part}" for part in
                     text.split("outbounds log key\n")[1:]]
    for wrong in (second + first, text + second, first + first, second, f"{first}{first}x",
                  first + second[:-10] + "\n",
                  text.replace("from 2001", "from 2000"), text.replace("until 2001", "until 2091"),
                  f"x{text}", "", second.replace("\n— ", "\n~ ", 1)):
        if wrong == second:
            # whoever trusts the second needs no first; whoever trusts the first finds nothing
            with pytest.raises(BadNote):
                parse_keys(wrong, [parse_keys(first)[0].verifier])
            continue
        with pytest.raises((BadNote, ValueError)):
            parse_keys(wrong)


def test_a_key_is_replaced_before_its_time_is_over(tmp_path: Path) -> None:
    made = ring(tmp_path)
    assert not made.renew(1_000_800_000)
    assert made.renew(1_000_950_000)
    assert len(made.keys) == 2


def test_what_a_crash_left_of_a_replacement_is_removed(tmp_path: Path) -> None:
    made = ring(tmp_path)
    (tmp_path / "key-00000000.pem").write_bytes(b"of a key that was never stated")
    assert KeyRing(tmp_path, "x", 1_000_000_001, valid=1_000_000).origin == made.origin
    assert len([*tmp_path.glob("key-*")]) == 1


@pytest.mark.parametrize(("spoil", "text"), [
    (lambda folder: next(folder.glob("key-*")).unlink(), "the log cannot go on without its key"),
    (lambda folder: next(folder.glob("key-*")).write_bytes(b"no key"), "cannot go on without"),
    (lambda folder: (folder / "keys").write_text("torn"), "no statement about a key"),
    (lambda folder: ((folder / "keys").unlink(), (folder / "checkpoint").touch()),
     "keys is gone, and the log was signed already"),
])
def test_keys_that_cannot_be_used(tmp_path: Path, spoil: object, text: str) -> None:
    ring(tmp_path)
    spoil(tmp_path)  # type: ignore[operator]
    with pytest.raises(KeyUnusable, match=text):
        ring(tmp_path)
