"""Every way that a store can fail is said with its fix; nothing is lost, and no secret is told."""

from __future__ import annotations

import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from bucket import ACCESS, DAY, SECRET, Bucket, Pass
from hypothesis import given
from hypothesis import strategies as st
from minio.commonconfig import COMPLIANCE
from minio.objectlockconfig import DAYS, ObjectLockConfig

from outbounds.evidence.archive.layout import all_segments
from outbounds.evidence.archive.reading import read_segment
from outbounds.evidence.archive.seal import Frame, Part, load_seal
from outbounds.evidence.keeper.task import KeeperFault
from outbounds.evidence.shipping.parts import Differs, compare, whole
from outbounds.evidence.shipping.reach import reachable, remote_log
from outbounds.settings.evidence import ObjectStore


def fault(log: Path, settings: ObjectStore) -> str:
    before = {path: path.read_bytes() for path in (log / "segments").iterdir()}
    with pytest.raises(KeeperFault) as raised:
        Pass(log, settings)
    assert {path: path.read_bytes() for path in (log / "segments").iterdir()} == before
    said = str(raised.value)
    assert ACCESS not in said and SECRET not in said
    return said


def test_a_bucket_that_is_not_there(log: Path, bucket: Bucket) -> None:
    assert fault(log, bucket.settings(bucket="another-bucket")).endswith(
        "/another-bucket/proxy1/: the bucket: NoSuchBucket: the bucket is not there; create it, "
        "with object lock if `lock` is set")


def test_a_bucket_without_object_lock(log: Path, endpoint: str, tmp_path: Path) -> None:
    bucket = Bucket(endpoint, tmp_path, lock=False)
    assert "was created without object lock, and `lock` is set" in fault(log, bucket.settings())
    assert bucket.names() == []
    assert Pass(log, bucket.settings(lock=None)).status["backlog"] == 0


def test_a_bucket_that_locks_everything_by_itself(log: Path, bucket: Bucket) -> None:
    bucket.client.set_object_lock_config(bucket.name, ObjectLockConfig(COMPLIANCE, 30, DAYS))
    for lock in (100 * DAY, None):
        assert "locks everything for 30 Days by default, and details must stay erasable" in fault(
            log, bucket.settings(lock=lock))
    assert bucket.names() == []


@pytest.mark.parametrize(("mode", "text", "expected"), [
    (0o640, f"{ACCESS}\n{SECRET}\n", "others may read it (mode 0640); chmod 600"),
    (0o604, f"{ACCESS}\n{SECRET}\n", "others may read it (mode 0604); chmod 600"),
    (0o600, f"{ACCESS}\n", "two lines were expected, the access key and the secret key"),
    (0o600, f"{ACCESS} {SECRET}\n", "two lines were expected"),
    (0o600, f"{ACCESS}\n{SECRET}\n{SECRET}\n", "two lines were expected"),
    (0o600, f"aws_access_key_id = {ACCESS}\nsecret = {SECRET}\n", "two lines were expected"),
    (0o600, None, "No such file"),
])
def test_credentials_that_are_none(log: Path, bucket: Bucket, mode: int, text: str | None,
                                   expected: str) -> None:
    if text is None:
        bucket.credentials.unlink()
    else:
        bucket.credentials.write_text(text)
        bucket.credentials.chmod(mode)
    said = fault(log, bucket.settings())
    assert said.startswith(f"{bucket.credentials}: ") and expected in said


def test_credentials_are_looked_at_when_something_is_read(log: Path, bucket: Bucket) -> None:
    bucket.credentials.chmod(0o644)
    segment = all_segments(log)[0]
    with reachable(bucket.settings()):
        list(read_segment(segment))  # it is here: nobody is asked
        segment.records.unlink()
        with pytest.raises(PermissionError, match="others may read it"):
            list(read_segment(segment))
    with pytest.raises(PermissionError), remote_log(bucket.settings(), cache=log / "cache"):
        pass
    bucket.credentials.chmod(0o600)
    with (pytest.raises(OSError, match="the bucket is not there"),
          remote_log(bucket.settings(bucket="another-bucket"), cache=log / "cache")):
        pass


def test_nobody_answers(log: Path, bucket: Bucket) -> None:
    settings = bucket.settings(endpoint="http://127.0.0.1:9")
    assert "no answer: Connection refused" in fault(log, settings).replace("[Errno 111] ", "")


def test_an_endpoint_with_a_path(log: Path, bucket: Bucket) -> None:
    assert "path in endpoint is not allowed" in fault(
        log, bucket.settings(endpoint=f"{bucket.endpoint}/minio"))


class _Answering:
    """An endpoint that answers everything with one status and body."""

    def __init__(self, status: int, body: bytes, **headers: str) -> None:
        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Type", "application/xml")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(b"" if self.command == "HEAD" else body)

            do_GET = do_PUT = do_HEAD = do_POST = answer

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> str:
        self._thread.start()
        return self.url

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.mark.parametrize(("code", "expected"), [
    ("RequestTimeTooSkewed", "the clock of this machine is not that of the store; set both by NTP"),
    ("InvalidAccessKeyId", "the store does not know this access key; mend `credentials`"),
    ("SignatureDoesNotMatch", "the secret key is not the access key's; mend `credentials`, or "
                              "`region`"),
    ("AccessDenied", "these credentials may not do this"),
    ("SlowDown", "the store is busy; the next pass goes on"),
    ("Whatever", "something else"),
])
def test_what_the_store_says_is_told_with_its_fix(
        log: Path, bucket: Bucket, code: str, expected: str) -> None:
    body = (f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>something else</Message>"
            f"<AWSAccessKeyId>{ACCESS}</AWSAccessKeyId><StringToSign>{SECRET}</StringToSign>"
            "</Error>").encode()
    with _Answering(403, body) as url:
        settings = bucket.settings(endpoint=url)
        said = fault(log, settings)
        assert f"{code}: {expected}" in said
        segment = all_segments(log)[0]
        segment.records.unlink()
        with pytest.raises(OSError, match=code) as raised, reachable(settings):
            list(read_segment(segment))
    said = str(raised.value)
    assert f"{code}: {expected}" in said and ACCESS not in said and SECRET not in said


@pytest.mark.parametrize(("status", "body", "expected"), [
    (200, b"<html>Welcome to the router</html>", "proxy1/"),
    (403, b"", "not an S3 reply"),
    (500, b"oops", "no answer: too many 500 error responses"),
])
def test_what_is_no_store(log: Path, bucket: Bucket, status: int, body: bytes, expected: str,
                          monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib3.util.retry.Retry.sleep", lambda *_: None)
    with _Answering(status, body) as url:
        assert expected in fault(log, bucket.settings(endpoint=url))


def test_a_redirect_is_not_followed(log: Path, bucket: Bucket) -> None:
    with _Answering(307, b"", Location=f"{bucket.endpoint}/{bucket.name}") as url:
        fault(log, bucket.settings(endpoint=url))


# --- comparing


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=6), st.data())
def test_frames_are_compared_however_the_octets_come(frames: list[bytes], data: st.DataObject,
                                                     ) -> None:
    part = Part("x", tuple(whole("", each).frames[0] for each in frames))
    octets = b"".join(frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(octets)), max_size=5)))
    chunks = [octets[a:b] for a, b in zip([0, *cuts], [*cuts, len(octets)], strict=True)]
    assert compare(chunks, part, "x") == whole("", octets).frames[0].sha256
    with pytest.raises(Differs, match="longer than"):
        compare([*chunks, b"more"], part, "x")
    if octets:
        with pytest.raises(Differs, match="shorter than"):
            compare([octets[:-1]], part, "x")
        at = data.draw(st.integers(0, len(octets) - 1))
        number = next(n for n in range(len(frames)) if at < sum(map(len, frames[:n + 1])))
        with pytest.raises(Differs, match=f"frame {number} is not the one"):
            compare([octets[:at], bytes([octets[at] ^ 128]), octets[at + 1:]], part, "x")


def test_frames_of_nothing_are_no_end() -> None:
    part = Part("x", (Frame(0, whole("", b"").frames[0].sha256), whole("", b"ab").frames[0]))
    assert compare([b"ab"], part, "x")


def test_what_is_old_when_it_is_sent_does_not_leave_in_that_pass(
        log: Path, bucket: Bucket) -> None:
    end = load_seal(all_segments(log)[0].seal).end / 1e6
    done = Pass(log, bucket.settings(keep_local=DAY), now=max(time.time(), end + 9 * DAY))
    assert done.status["shipped"] == 3 and done.status["removed"] == 0
