"""The collector process and its client under kill -9, hangs, full disks and strangers."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pytest
from collecting import ADDONS, names, on_disk, wait_for

from outbounds.evidence.client import EvidenceUnavailable
from outbounds.evidence.frame import (
    ACK,
    HEADER,
    HELLO,
    NACK,
    PROTOCOL,
    RECORDS,
    RETRY,
    ROLL,
    ROTATE,
    STATE,
    frame,
)


async def test_a_commit_is_on_disk_when_it_returns(collect, proxy, directory) -> None:
    collect()
    one = proxy()
    await one.client.wait_available(5)
    id, start, end = one.pair()
    await one.client.commit(start)
    assert names(directory) == [(id, "start")]
    one.client.post(end)
    assert await one.client.close()
    assert names(directory) == [(id, "start"), (id, "end")]
    assert (directory.parent / "socket").stat().st_mode & 0o777 == 0o600


async def test_one_tick_is_one_frame(collect, proxy, directory) -> None:
    collect()
    seen: list[float] = []
    one = proxy(observe=seen.append)
    await one.client.wait_available(5)
    pairs = [one.pair() for _ in range(100)]
    await asyncio.gather(*(one.client.commit(start) for _, start, _ in pairs))
    assert one.client.acks == len(seen) == 1 and 0 < seen[0] < 2
    assert names(directory) == [(id, "start") for id, _, _ in pairs]


CLIENT = """
import asyncio, sys, time
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from collecting import Proxy

async def main():
    one = Proxy(Path(sys.argv[1]))
    one.client.start()
    await one.client.wait_available(5)
    for n in range(int(sys.argv[3])):
        id, start, end = one.pair()
        await one.client.commit(start)
        print(id, flush=True)
        if n % 2:
            one.client.post(end)
            id, start, end = one.pair()
            await one.client.commit(start)  # so that the post went out before it
            print(id, flush=True)
    print("done", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def client_process(socket: Path, count: int) -> tuple[subprocess.Popen[str], list[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", CLIENT, str(socket), str(Path(__file__).parent), str(count)],
        env={**os.environ, "PYTHONPATH": ADDONS}, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    ids = list(iter(lambda: process.stdout.readline().strip(), "done"))  # type: ignore[union-attr]
    return process, ids


def test_kill_9_of_the_proxy_closes_what_it_left_open(collect, directory, tmp_path) -> None:
    collector = collect()
    wait_for((tmp_path / "socket").exists)
    process, ids = client_process(tmp_path / "socket", 10)
    process.kill()
    process.wait()
    wait_for(lambda: len(names(directory)) == 2 * len(ids))
    assert Counter(names(directory)) == Counter((id, t) for id in ids for t in ("start", "end"))
    ends = {r["event.id"]: r for r in on_disk(directory) if r["event.type"] == "end"}
    outcomes = Counter(r["event.outcome"] for r in ends.values())
    assert outcomes == {"success": 5, "unknown": 10}
    unknown = next(r for r in ends.values() if r["event.outcome"] == "unknown")
    assert unknown["event.action"] == "request" and unknown["event.reason"]
    wait_for(lambda: "10 open records closed as unknown" in collector.errors)


def test_both_killed_and_the_next_collector_closes(collect, directory, tmp_path) -> None:
    collector = collect()
    wait_for((tmp_path / "socket").exists)
    process, ids = client_process(tmp_path / "socket", 2)
    collector.kill()
    collector.end()
    process.kill()
    process.wait()
    assert len(names(directory)) == len(ids) + 1
    collect("--grace", "0.3")
    wait_for(lambda: len(names(directory)) == 2 * len(ids))


async def test_a_restart_keeps_the_records_of_a_living_client_open(
        collect, proxy, directory) -> None:
    collector = collect("--grace", "1")
    one = proxy()
    await one.client.wait_available(5)
    id, start, end = one.pair()
    await one.client.commit(start)
    for number in (signal.SIGKILL, signal.SIGTERM):
        collector.kill(number)
        await asyncio.to_thread(collector.end)
        with pytest.raises(EvidenceUnavailable):
            await one.client.commit(one.pair()[1])
        collector = collect("--grace", "1")
        await one.client.wait_available(5)
    await asyncio.sleep(1.3)
    assert (id, "end") not in names(directory)
    one.client.post(end)
    assert await one.client.close()
    wait_for(lambda: [t for i, t in names(directory) if i == id] == ["start", "end"])
    closing = [r for r in on_disk(directory) if r["event.id"] == id][-1]
    assert closing["event.outcome"] == "success"


async def test_a_hung_collector_refuses_in_bounded_time_and_recovers(
        collect, proxy, directory) -> None:
    collector = collect()
    one = proxy(timeout=0.4)
    await one.client.wait_available(5)
    collector.kill(signal.SIGSTOP)
    pairs = [one.pair() for _ in range(4)]
    started = time.monotonic()
    with pytest.raises(EvidenceUnavailable, match=r"no acknowledgement within 0\.4 s"):
        await one.client.commit(pairs[0][1])
    assert 0.3 < time.monotonic() - started < 1.5
    for _, start, _ in pairs[1:]:  # and whoever comes now need not wait
        started = time.monotonic()
        with pytest.raises(EvidenceUnavailable):
            await one.client.commit(start)
        assert time.monotonic() - started < 0.2
    for _, _, end in pairs:
        one.client.post(end)
    collector.kill(signal.SIGCONT)
    await one.client.wait_available(5)
    id, start, end = one.pair()
    await one.client.commit(start)
    one.client.post(end)
    assert await one.client.close()
    assert Counter(names(directory)) == Counter(
        (i, t) for i in [id, *(p[0] for p in pairs)] for t in ("start", "end"))


async def test_a_full_disk_refuses_and_heals(collect, proxy, directory) -> None:
    """RLIMIT_FSIZE on the running collector (prlimit): every user can, and it heals at will.
    The real ENOSPC is in test_segment."""
    collector = collect()
    one = proxy()
    await one.client.wait_available(5)
    first = one.pair()
    await one.client.commit(first[1])
    full = (directory / "segments").glob("*.jsonl").__next__().stat().st_size + 100
    unlimited = resource.RLIM_INFINITY
    resource.prlimit(collector.process.pid, resource.RLIMIT_FSIZE, (full, unlimited))
    second = one.pair()
    with pytest.raises(EvidenceUnavailable, match="EFBIG"):
        await one.client.commit(second[1])
    one.client.post(second[2])  # the caller's duty after a commit that raised
    one.client.post(first[2])
    with pytest.raises(EvidenceUnavailable):
        await one.client.commit(one.pair()[1])
    assert not one.client.available
    await asyncio.sleep(0.3)
    assert names(directory) == [(first[0], "start")]
    resource.prlimit(collector.process.pid, resource.RLIMIT_FSIZE, (unlimited, unlimited))
    await one.client.wait_available(5)
    third = one.pair()
    await one.client.commit(third[1])
    found = names(directory)
    assert found[:4] == [(first[0], "start"), (second[0], "start"), (second[0], "end"),
                         (first[0], "end")]
    assert found[-1] == (third[0], "start") and len(found) == 6
    assert one.client.nacks >= 1
    assert "cannot write: EFBIG" in collector.errors
    wait_for(lambda: "writing again" in collector.errors)


async def test_the_memory_for_an_outage_is_bounded(collect, proxy, directory) -> None:
    """Openings may fill half, closings the rest; what found no room is counted, not sent."""
    one = proxy(max_bytes=100_000)
    ids = []
    for _ in range(2000):
        _, start, end = one.pair()
        ids.append((start, end))
        with pytest.raises(EvidenceUnavailable):
            await one.client.commit(start)
    refused = one.client.lost
    assert 0 < refused < 2000
    for _, end in ids:
        one.client.post(end)
    assert one.client.lost > refused
    collect()
    assert await one.client.close(8)
    kept = Counter(t for _, t in names(directory))
    assert kept["start"] == 2000 - refused and kept.total() == 4000 - one.client.lost
    assert sum(p.stat().st_size for p in (directory / "segments").iterdir()) < 105_000


def test_a_second_collector_on_the_same_directory_leaves(collect, directory, tmp_path) -> None:
    first = collect()
    wait_for((tmp_path / "socket").exists)
    second = collect("--wait", "0.2")
    assert second.end() == 1
    assert f"another collector (process {first.process.pid}) is writing here" in second.errors
    third = collect(at=tmp_path / "other")
    assert third.end() == 1
    assert "another collector listens here" in third.errors
    first.kill(signal.SIGTERM)
    assert first.end() == 0 and not (tmp_path / "socket").exists()


def connect(path: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.settimeout(5)
    made.connect(str(path))
    return made


def answer(connection: socket.socket) -> tuple[int, int, bytes] | None:
    """One frame that answers something, or None where the collector hung up."""
    while True:
        header = connection.recv(HEADER.size, socket.MSG_WAITALL)
        if len(header) < HEADER.size:
            return None
        length, number, kind = HEADER.unpack(header)
        payload = connection.recv(length, socket.MSG_WAITALL) if length else b""
        if kind != STATE:
            return kind, number, payload


STRANGER = """
import os, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
s = socket.socket(socket.AF_UNIX); s.settimeout(5)
try:
    s.connect(sys.argv[1])
except PermissionError:
    print("no permission"); sys.exit()
try:
    s.sendall(bytes.fromhex(sys.argv[2]))
    print("answered" if s.recv(13) else "hung up")
except (ConnectionResetError, BrokenPipeError):
    print("hung up")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
@pytest.mark.parametrize(("options", "outcome"), [
    ((), "no permission"),                      # the mode of the socket
    (("--allow-uid", "12345"), "hung up"),      # SO_PEERCRED
    (("--allow-uid", "65534"), "answered")])
def test_another_user_is_not_heard(collect, options, outcome) -> None:
    with tempfile.TemporaryDirectory() as open_directory:  # pytest's own are 0700 all the way
        os.chmod(open_directory, 0o711)  # noqa: S103
        path = Path(open_directory) / "socket"
        collector = collect("--socket", str(path), *options)
        wait_for(path.exists)
        done = subprocess.run([sys.executable, "-I", "-c", STRANGER, str(path),
                               frame(HELLO, 0, PROTOCOL + b"s1").hex()],
                              check=True, capture_output=True, text=True, timeout=10)
        assert done.stdout.strip() == outcome
        assert ("user 65534: not allowed" in collector.errors) == (outcome == "hung up")


ASKING = """
import os, socket, struct, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
s = socket.socket(socket.AF_UNIX); s.settimeout(5)
s.connect(sys.argv[1])
s.sendall(bytes.fromhex(sys.argv[2]))
while True:
    size, number, kind = struct.unpack("!IQB", s.recv(13, socket.MSG_WAITALL))
    said = s.recv(size, socket.MSG_WAITALL) if size else b""
    if number == 1:
        print(kind, said.decode())
        break
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
@pytest.mark.parametrize("kind", [ROLL, ROTATE])
def test_a_proxy_of_another_user_may_record_and_no_more(collect, directory, kind) -> None:
    with tempfile.TemporaryDirectory() as open_directory:
        os.chmod(open_directory, 0o711)  # noqa: S103
        path = Path(open_directory) / "socket"
        collect("--socket", str(path), "--allow-uid", "65534")
        wait_for(path.exists)
        keys = (directory / "log" / "keys").read_bytes()

        def asked(what: bytes) -> str:
            return subprocess.run(
                [sys.executable, "-I", "-c", ASKING, str(path),
                 (frame(HELLO, 0, PROTOCOL + b"s1") + what).hex()],
                check=True, capture_output=True, text=True, timeout=10).stdout.strip()

        assert asked(frame(RECORDS, 1, GOOD)) == str(ACK)
        assert asked(frame(kind, 1)) == \
            f"{NACK} only root and the collector's own user may ask for this"
        assert (directory / "log" / "keys").read_bytes() == keys
        assert len(list((directory / "segments").glob("*.jsonl"))) == 1


GOOD = b'{"event.id":"a","event.type":"start","event.action":"x","outbounds.session":"s1"}\n'


@pytest.mark.parametrize("sent", [
    b"GET / HTTP/1.1\r\n\r\n", frame(HELLO, 0, b"other/1 s1"), frame(HELLO, 0, PROTOCOL + b"a b"),
    frame(RECORDS, 1, GOOD),
    *(frame(HELLO, 0, PROTOCOL + b"s1") + rest for rest in (
        frame(9, 1, GOOD), frame(ACK, 1), frame(STATE, 0, b"{}"),
        frame(RECORDS, 1, b""), frame(RECORDS, 1, GOOD[:-1]),
        frame(RECORDS, 1, GOOD[:-1] + b"\r" + GOOD), frame(RECORDS, 1, b"{}\n"),
        frame(RECORDS, 1, b"\n"), frame(RECORDS, 1, GOOD.replace(b"start", b"info")),
        HEADER.pack(2**31, 1, RECORDS)))])
def test_what_is_not_the_protocol_is_dropped_alone(collect, directory, tmp_path, sent) -> None:
    collector = collect()
    wait_for((tmp_path / "socket").exists)
    with connect(tmp_path / "socket") as good, connect(tmp_path / "socket") as bad:
        good.sendall(frame(HELLO, 0, PROTOCOL + b"s2"))
        assert answer(good) == (ACK, 0, b"")
        bad.sendall(sent)
        while (got := answer(bad)) is not None:
            assert got == (ACK, 0, b""), "only a greeting may have been answered"
        good.sendall(frame(RECORDS, 1, GOOD.replace(b"s1", b"s2")))
        assert answer(good) == (ACK, 1, b"")
        assert names(directory) == [("a", "start")]
    assert "dropped" in collector.errors


def test_after_a_refusal_nothing_passes_until_a_retry(collect, directory, tmp_path) -> None:
    """Or a closing would overtake its opening."""
    collector = collect()
    wait_for((tmp_path / "socket").exists)
    with connect(tmp_path / "socket") as client:
        client.sendall(frame(HELLO, 0, PROTOCOL + b"s1"))
        assert answer(client) == (ACK, 0, b"")
        infinity = resource.RLIM_INFINITY
        resource.prlimit(collector.process.pid, resource.RLIMIT_FSIZE, (0, infinity))
        client.sendall(frame(RECORDS, 1, GOOD))
        assert (answer(client) or (0,))[:2] == (NACK, 1)
        resource.prlimit(collector.process.pid, resource.RLIMIT_FSIZE, (infinity, infinity))
        client.sendall(frame(RECORDS, 2, GOOD.replace(b"start", b"end")))
        assert (answer(client) or (0,))[:2] == (NACK, 2)
        client.sendall(frame(RETRY, 3, GOOD))
        assert answer(client) == (ACK, 3, b"")
    wait_for(lambda: names(directory) == [("a", "start"), ("a", "end")])
    assert json.loads((directory / "carried.json").read_bytes())["sequence"] >= 1


def test_a_torn_tail_is_cut_at_start_and_said(collect, directory, tmp_path) -> None:
    (directory / "segments").mkdir(parents=True)
    segment = directory / "segments" / "2026-11-21T00-000007.jsonl"
    segment.write_bytes(GOOD + GOOD[:30])
    collector = collect("--grace", "0.1")
    wait_for(lambda: "cut a torn last line of 30 bytes" in collector.errors)
    wait_for(lambda: len(names(directory)) == 2)
    assert segment.read_bytes() == GOOD
    assert [p.name[-12:] for p in sorted(segment.parent.glob("*.jsonl"))] == [
        "000007.jsonl", "000008.jsonl"]


async def test_not_one_line_is_the_callers_mistake(proxy) -> None:
    one = proxy()
    for line in (b"", b"\n\n", b"{}", b"{}\n{}\n"):
        with pytest.raises(ValueError, match="exactly one line"):
            one.client.post(line)


def test_the_collector_imports_little() -> None:
    """It must be back before a customer notices."""
    code = ("import sys, outbounds.evidence.collector; "
            "print(*({m.partition('.')[0] for m in sys.modules} & "
            "{'pydantic', 'mitmproxy', 'ruamel', 'asyncio', 'aiohttp', 'duckdb', 'zstandard'}))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          env={**os.environ, "PYTHONPATH": ADDONS})
    assert done.stdout.strip() == ""
