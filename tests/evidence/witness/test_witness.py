"""Witnesses that see each checkpoint, and what a log that was rewritten looks like to them."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from peers import Authority, WitnessServer, serving, speaking
from written import Written

from outbounds.evidence.keeper.task import KeeperFault, Keeping
from outbounds.evidence.tlog.cosignature import Cosigner, open_cosigned
from outbounds.evidence.tlog.note import BadNote, Verifier
from outbounds.evidence.witness import asking, exchange
from outbounds.evidence.witness.stamps import (
    BadStamp,
    Stamp,
    Trusted,
    check,
    covering,
    folder_of,
    keep,
    stamps,
    stamps_in,
)
from outbounds.settings.evidence import Evidence, Witness


@pytest.fixture
def log(tmp_path: Path) -> Written:
    written = Written(tmp_path / "evidence")
    written.run(300)
    return written


@pytest.fixture
def witness(log: Written) -> WitnessServer:
    return WitnessServer(log.verifier.name, log.verifier.key)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def url(witness: WitnessServer) -> Iterator[str]:
    with serving(witness.answer) as found:
        yield found


def at_url(url: str, witness: WitnessServer, name: str = "neighbour") -> Witness:
    return Witness.model_construct(name=name, url=url, key=witness.verifier)


def in_file(path: Path, name: str = "elsewhere") -> Witness:
    return Witness.model_construct(name=name, file=path)


def by_stamp(url: str, authority: Authority) -> Witness:
    return Witness.model_construct(name="stamp", timestamp=url, ca=authority.root)


def ask(log: Written, *witnesses: Witness, at: float | None = None) -> dict[str, int | float | str]:
    keeping = Keeping(log.directory, log.directory.parent,
                      Evidence.model_construct(witnesses=witnesses),
                      time.time() if at is None else at, lambda _: None)
    asking.run(keeping)
    return keeping.status


def fault(log: Written, *witnesses: Witness, at: float | None = None) -> str:
    with pytest.raises(KeeperFault) as raised:
        ask(log, *witnesses, at=at)
    return str(raised.value)


def rewrite(log: Written, records: int = 300) -> Written:
    """Whoever owns the machine makes another history, with the log's own key."""
    for path in (log.directory / "segments").iterdir():
        path.unlink()
    for name in ("log/checkpoint", "carried.json"):
        (log.directory / name).unlink(missing_ok=True)
    other = Written(log.directory, seed=99)
    other.run(records)
    return other


# --- what all three keep


def test_every_kind_of_witness_keeps_what_proves_it(
        log: Written, witness: WitnessServer, url: str, authority: Authority,
        tmp_path: Path) -> None:
    with serving(authority.answer) as tsa:
        status = ask(log, in_file(tmp_path / "seen"), at_url(url, witness),
                     by_stamp(tsa, authority))
    assert set(status) == {"stamped.elsewhere", "stamped.neighbour", "stamped.stamp"}
    assert all(abs(time.time() - float(at)) < 60 for at in status.values())
    found = stamps(log.directory)
    assert sorted((each.name, each.kind, each.size) for each in found) == [
        ("elsewhere", "file", 300), ("neighbour", "url", 300), ("stamp", "timestamp", 300)]
    trusted = Trusted([log.verifier], [Cosigner.parse(witness.verifier)],
                      [authority.root.read_bytes()])
    assert {check(each, trusted).root for each in found} == {found[0].root}
    assert [each.name for each in covering(log.directory, 299)] == [
        each.name for each in found]
    assert covering(log.directory, 300) == []


def test_without_witnesses_or_before_the_first_record_nothing_is_asked(
        log: Written, tmp_path: Path) -> None:
    asking.run(Keeping(log.directory, tmp_path, None, 0.0, lambda _: None))
    assert ask(log) == {}
    (tmp_path / "empty").mkdir()
    assert ask(Written(tmp_path / "empty"), in_file(tmp_path / "seen")) == {}
    assert not (tmp_path / "seen").exists()


def test_one_that_fails_does_not_stop_the_others(
        log: Written, witness: WitnessServer, url: str, tmp_path: Path) -> None:
    said = fault(log, in_file(tmp_path / "gone" / "seen"), at_url(url, witness))
    assert said == f"witness elsewhere: {tmp_path / 'gone'} is not there; is it mounted?"
    assert [each.name for each in stamps(log.directory)] == ["neighbour"]


def test_a_log_that_does_not_fit_its_checkpoint_is_shown_to_nobody(
        log: Written, witness: WitnessServer, url: str) -> None:
    (path,) = (log.directory / "segments").glob("*.jsonl")
    path.write_bytes(path.read_bytes().replace(b"account-", b"accounT-", 1))
    assert "no witness was asked" in fault(log, at_url(url, witness))
    assert witness.asked == []


# --- a witness over HTTP (C2SP tlog-witness)


def test_the_log_grows_and_the_witness_sees_that_it_only_grew(
        log: Written, witness: WitnessServer, url: str) -> None:
    for more in (1, 40, 0, 300):
        if more:
            log.run(more)
        else:
            log.run().checkpoint()
        ask(log, at_url(url, witness))
        assert witness.size == len(log.leaves)
    assert len(witness.asked) == 4  # none was refused for an old size that is wrong
    assert witness.asked[0].startswith(b"old 0\n\n")
    newest = stamps(log.directory)[-1]
    assert newest.size == 641
    text, at = open_cosigned(newest.note, Cosigner.parse(witness.verifier))
    assert text.startswith(log.verifier.name) and at == newest.at
    assert "other.example.net" not in newest.note


def test_a_witness_that_saw_more_than_we_remember_is_asked_from_there(
        log: Written, witness: WitnessServer, url: str) -> None:
    ask(log, at_url(url, witness))
    shutil.rmtree(folder_of(log.directory))
    log.run(50)
    ask(log, at_url(url, witness))
    assert [each.partition(b"\n")[0] for each in witness.asked] == [b"old 0", b"old 0", b"old 300"]


@pytest.mark.parametrize("forgotten", [False, True])
@pytest.mark.parametrize("records", [200, 300, 400])
def test_a_rewritten_history_is_refused_by_the_witness(
        log: Written, witness: WitnessServer, url: str, records: int, forgotten: bool) -> None:
    ask(log, at_url(url, witness))
    other = rewrite(log, records)
    if forgotten:  # the stamps here are the machine's owner's to remove; the witness is not
        shutil.rmtree(folder_of(log.directory))
    said = fault(other, at_url(url, witness))
    assert "the log may have been rewritten" in said
    assert (f"saw 300 records, and the log has {records}" in said) == (records < 300)
    assert witness.size == 300


@pytest.mark.parametrize(("status", "kind", "body", "expected"), [
    (404, "text/plain", b"unknown\x1b[31m log", "status 404 (unknown [31m log); it does not know "
                                               "this log: give its operator the key {key}"),
    (403, "text/plain", b"", "status 403 (); it does not know the log's key: give its operator"),
    (302, "text/plain", b"", "status 302 (); redirects are not followed"),
    (429, "text/plain", b"slow down", "status 429 (slow down)"),
    (500, "text/html", b"oops", "status 500 (oops)"),
    (409, "text/plain", b"17\n", "409 without the size that it saw (17); is this a C2SP"),
    (409, "text/x.tlog.size", b"9" * 5000, "409 without the size"),
    (409, "text/x.tlog.size", b"-1\n", "409 without the size"),
    (409, "text/x.tlog.size", b"17\n", "status 409 (17)"),  # and again: somebody else asks for us
    (409, "text/x.tlog.size", b"301\n", "saw 301 records, and the log has 300: the log may have"),
    (200, "text/plain", b"", "no good cosignature of its own is in its answer"),
    (200, "text/plain", b"OK\n", "no good cosignature of its own is in its answer"),
    (200, "text/plain", b"\xff\xfe", "no good cosignature of its own is in its answer"),
    (200, "text/plain", b"a" * 300_000, "the reply is longer than 262144 octets"),
])
def test_answers_that_are_none(log: Written, witness: WitnessServer, status: int, kind: str,
                               body: bytes, expected: str) -> None:
    with serving(lambda _path, _body: (status, kind, body)) as url:
        said = fault(log, at_url(url, witness))
    assert said.startswith("witness neighbour: ")
    assert expected.format(key=log.verifier) in said
    assert stamps(log.directory) == []


def test_a_cosignature_by_another_key_is_not_kept(
        log: Written, witness: WitnessServer, url: str) -> None:
    witness.forge = True
    assert "the cosignature of witness.example.net/w1 is wrong" in fault(log, at_url(url, witness))
    assert stamps(log.directory) == []


@pytest.mark.parametrize("skew", [-4000, 4000])
def test_a_cosignature_of_another_time_is_not_kept(
        log: Written, witness: WitnessServer, url: str, skew: int) -> None:
    witness.skew = skew
    assert "one of the two clocks is wrong" in fault(log, at_url(url, witness))
    assert stamps(log.directory) == []


@pytest.mark.parametrize(("octets", "reset", "expected"), [
    (None, False, "no answer within 0.2 s"),
    (b"", True, "Connection reset|Remote end closed"),
    (b"SSH-2.0-OpenSSH_9.6\r\n", False, "SSH-2.0"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort", False, "ended 45 octets early"),
    (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 200, False, "more than 100 headers"),
])
def test_faults_of_the_network_are_said(
        log: Written, witness: WitnessServer, monkeypatch: pytest.MonkeyPatch,
        octets: bytes | None, reset: bool, expected: str) -> None:
    monkeypatch.setattr(exchange, "TIMEOUT", 0.2)
    with speaking(octets, reset) as url, pytest.raises(KeeperFault, match=expected):
        ask(log, at_url(url, witness))
    assert stamps(log.directory) == []


def test_an_answer_that_never_ends_does_not_hold_up_the_keeper(
        log: Written, witness: WitnessServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "PATIENCE", 0.2)
    with speaking(None) as url:
        assert fault(log, at_url(url, witness)) == "witness neighbour: no answer within 0.2 s"


def test_tls_is_verified(log: Written, witness: WitnessServer, tmp_path: Path,
                         monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key",
                    "-out", "certificate", "-subj", "/CN=w", "-days", "2", "-addext",
                    "subjectAltName=IP:127.0.0.1"], cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate", tmp_path / "key")
    with serving(witness.answer, context) as url:
        assert "certificate verify failed" in fault(log, at_url(url, witness))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate"))
        ask(log, at_url(url, witness))
        other = at_url(url.replace("127.0.0.1", "localhost"), witness, "other")
        assert "Hostname mismatch" in fault(log, other)
    assert [each.name for each in stamps(log.directory)] == ["neighbour"]


def test_nobody_listens(log: Written, witness: WitnessServer) -> None:
    with serving(witness.answer) as url:
        pass
    assert "Connection refused" in fault(log, at_url(url, witness))


@pytest.mark.parametrize(("key", "expected"), [
    ("w+00000000+BAAA", "not a witness's Ed25519 key"),
    ("w+00000000+" + "Bg" + "A" * 42 + "==", "is no verifier key|an ML-DSA key"),
    ("nonsense", "is no verifier key"),
])
def test_keys_that_are_none(log: Written, url: str, key: str, expected: str) -> None:
    witness = Witness.model_construct(name="neighbour", url=url, key=key)
    with pytest.raises(KeeperFault, match=f"its key: .*({expected})"):
        ask(log, witness)


def test_a_log_key_is_not_taken_for_a_witness_key(log: Written) -> None:
    with pytest.raises(BadNote, match="not a witness's Ed25519 key"):
        Cosigner.parse(str(log.verifier))


# --- a file elsewhere


def test_the_file_has_every_checkpoint_one_after_the_other(log: Written, tmp_path: Path) -> None:
    path = tmp_path / "seen"
    ask(log, in_file(path))
    first = path.read_bytes()
    ask(log, in_file(path))  # neither more records nor a minute later
    assert path.read_bytes() == first
    log.run(5)
    ask(log, in_file(path))
    assert path.read_bytes().startswith(first)
    notes = [each + "\n" for each in path.read_text().removesuffix("\n\n").split("\n\n")]
    assert [each.split("\n")[1] for each in notes[::2]] == ["300", "305"]
    assert stamps(log.directory)[-1].size == 305


def test_a_note_that_was_torn_is_left_and_skipped(log: Written, tmp_path: Path) -> None:
    path = tmp_path / "seen"
    ask(log, in_file(path))
    whole = path.read_bytes()
    for cut in (1, 2, 30, 130, len(whole) - 3):
        path.write_bytes(whole + whole[:cut])
        log.run(1)
        ask(log, in_file(path))
        assert path.read_bytes().startswith(whole + whole[:cut] + b"\n\n")
        log.run(1)
        ask(log, in_file(path))  # its newest is found behind the torn one


@pytest.mark.parametrize("records", [200, 300, 400])
def test_a_rewritten_history_is_not_appended(log: Written, tmp_path: Path, records: int) -> None:
    path = tmp_path / "seen"
    ask(log, in_file(path))
    before = path.read_bytes()
    other = rewrite(log, records)
    shutil.rmtree(folder_of(log.directory))
    said = fault(other, in_file(path))
    assert str(path) in said and "the log may have been rewritten" in said
    assert path.read_bytes() == before


def test_a_log_made_anew_with_another_key_is_not_appended(log: Written, tmp_path: Path) -> None:
    path = tmp_path / "seen"
    ask(log, in_file(path))
    shutil.rmtree(log.directory)
    other = Written(log.directory)
    other.run(400)
    assert "if this is its own, the log was replaced" in fault(other, in_file(path))


def test_a_file_that_is_gone_is_missed(log: Written, tmp_path: Path) -> None:
    path = tmp_path / "seen"
    ask(log, in_file(path))
    path.unlink()
    said = fault(log, in_file(path))
    assert f"remove {folder_of(log.directory) / 'elsewhere'}, too" in said
    shutil.rmtree(folder_of(log.directory) / "elsewhere")
    ask(log, in_file(path))
    assert path.exists()


def test_another_file_is_not_written_to(log: Written, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("dear diary\n")
    assert "no checkpoint is found in it" in fault(log, in_file(path))
    assert path.read_text() == "dear diary\n"


# --- RFC 3161


def test_openssl_verifies_the_time_stamp(log: Written, authority: Authority) -> None:
    with serving(authority.answer) as tsa:
        ask(log, by_stamp(tsa, authority))
    (stamp,) = stamps(log.directory)
    note, query, reply = stamp.files
    for what in (["-data", str(note)], ["-queryfile", str(query)]):
        done = subprocess.run(["openssl", "ts", "-verify", *what, "-in", str(reply), "-CAfile",
                               str(authority.root)], capture_output=True, text=True)
        assert "Verification: OK" in done.stdout + done.stderr


def test_a_log_that_did_not_grow_is_stamped_once_an_hour(
        log: Written, authority: Authority) -> None:
    asked: list[bytes] = []

    def answer(path: str, body: bytes) -> tuple[int, str, bytes]:
        asked.append(body)
        return authority.answer(path, body)

    with serving(answer) as tsa:
        ask(log, by_stamp(tsa, authority))
        ask(log, by_stamp(tsa, authority))
        assert len(asked) == 1
        log.run(1)
        ask(log, by_stamp(tsa, authority))
        assert len(asked) == 2


def test_a_stamp_for_something_else_is_not_kept(log: Written, authority: Authority) -> None:
    replies = []

    def answer(path: str, body: bytes) -> tuple[int, str, bytes]:
        replies.append(authority.answer(path, body))
        return replies[0]  # the same for ever

    with serving(answer) as tsa:
        ask(log, by_stamp(tsa, authority))
        log.run(1)
        assert "the time stamp does not hold" in fault(log, by_stamp(tsa, authority))
    assert len(stamps(log.directory)) == 1


@pytest.mark.parametrize(("answer", "expected"), [
    ((200, "application/timestamp-reply", b"junk"), "no RFC 3161 reply"),
    ((200, "text/html", b"<p>Welcome"), "status 200, text/html (<p>Welcome); is this an RFC 3161"),
    ((503, "text/plain", b""), "status 503"),
    # PKIStatusInfo with status 2, rejection, and no token (RFC 3161 section 2.4.2)
    ((200, "application/timestamp-reply", bytes.fromhex("30053003020102")),
     "the authority refused (status 2): without a reason"),
])
def test_replies_that_are_none(log: Written, authority: Authority,
                               answer: tuple[int, str, bytes], expected: str) -> None:
    with serving(lambda _path, _body: answer) as tsa:
        assert expected in fault(log, by_stamp(tsa, authority))
    assert stamps(log.directory) == []


def test_an_authority_that_does_not_lead_to_the_root_is_not_believed(
        log: Written, authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path)
    with serving(other.answer) as tsa:
        assert "the time stamp does not hold" in fault(log, by_stamp(tsa, authority))
    shutil.copy(authority.folder / "tsa.pem", tmp_path / "root.pem")
    with serving(authority.answer) as tsa:
        assert "none of the certificates that are trusted is a root" in fault(
            log, by_stamp(tsa, other))


def test_a_rewritten_history_gets_no_stamp(log: Written, authority: Authority) -> None:
    with serving(authority.answer) as tsa:
        ask(log, by_stamp(tsa, authority))
        other = rewrite(log)
        assert "saw other records among the first 300" in fault(other, by_stamp(tsa, authority))


# --- what is kept


def test_the_last_of_each_day_is_kept_and_the_newest(log: Written) -> None:
    folder = folder_of(log.directory) / "w"
    note = (log.directory / "log" / "checkpoint").read_bytes()
    day = 86_400
    for at in (100, 200, day + 50, day + 60, 2 * day + 1):
        keep(folder, "file", at, 300, [note])
    assert [each.at for each in stamps_in(folder)] == [200, day + 60, 2 * day + 1]
    assert len(list(folder.iterdir())) == 3


def test_a_stamp_that_a_crash_cut_off_is_not_one(log: Written, authority: Authority) -> None:
    with serving(authority.answer) as tsa:
        ask(log, by_stamp(tsa, authority))
    (stamp,) = stamps(log.directory)
    stamp.files[-1].unlink()
    assert stamps(log.directory) == []


def test_what_was_tampered_with_is_named(
        log: Written, witness: WitnessServer, url: str, authority: Authority,
        tmp_path: Path) -> None:
    with serving(authority.answer) as tsa:
        ask(log, in_file(tmp_path / "seen"), at_url(url, witness), by_stamp(tsa, authority))
    trusted = Trusted([log.verifier], [Cosigner.parse(witness.verifier)],
                      [authority.root.read_bytes()])
    for stamp in stamps(log.directory):
        for path in (stamp.files[0], stamp.files[-1]):
            whole = path.read_bytes()
            for at in range(0, len(whole), max(1, len(whole) // 25)):
                path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1:])
                if path.suffix == ".tsr" and _same_token(stamp, trusted):
                    continue  # octets of the reply that nobody signs: the root's copy in it
                with pytest.raises(BadStamp, match=r"\.(note|cosigned|stamped): "):
                    check(stamp, trusted)
            path.write_bytes(whole)
        assert check(stamp, trusted).size == 300


def _same_token(stamp: Stamp, trusted: Trusted) -> bool:
    try:
        return check(stamp, trusted).root == stamp.root
    except BadStamp:
        return False


def test_a_stamp_renamed_to_another_time_is_not_believed(
        log: Written, witness: WitnessServer, url: str) -> None:
    ask(log, at_url(url, witness))
    (stamp,) = stamps(log.directory)
    stamp.files[0].rename(stamp.files[0].with_name("20200101T000000Z-300.cosigned"))
    (stamp,) = stamps(log.directory)
    trusted = Trusted([log.verifier], [Cosigner.parse(witness.verifier)])
    with pytest.raises(BadStamp, match="at another time"):
        check(stamp, trusted)


def test_only_the_trusted_are_believed(log: Written, witness: WitnessServer, url: str,
                                       tmp_path: Path) -> None:
    ask(log, at_url(url, witness), in_file(tmp_path / "seen"))
    cosigner = Cosigner.parse(witness.verifier)
    for stamp in stamps(log.directory):
        with pytest.raises(BadStamp):
            check(stamp, Trusted([Verifier(log.verifier.name, bytes(32))], [cosigner]))
    cosigned = next(each for each in stamps(log.directory) if each.kind == "url")
    with pytest.raises(BadStamp, match="cosigned by nobody whose key is trusted"):
        check(cosigned, Trusted([log.verifier]))
