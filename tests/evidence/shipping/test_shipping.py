"""Sealed segments go to an S3 server, are read back, and may then leave this machine."""

from __future__ import annotations

import io
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from bucket import DAY, Bucket, Pass, index

from outbounds.evidence.archive.layout import Segment, all_segments
from outbounds.evidence.archive.reading import Damaged, fetch, read_all
from outbounds.evidence.archive.seal import Part, load_seal, save_seal
from outbounds.evidence.keeper.task import KeeperFault
from outbounds.evidence.shipping import ship, store
from outbounds.evidence.shipping.manifest import Item
from outbounds.evidence.shipping.parts import whole
from outbounds.evidence.shipping.reach import bring_back, reachable, remote_log
from outbounds.evidence.shipping.remote import Remote
from outbounds.evidence.shipping.sending import send
from outbounds.evidence.shipping.store import Store
from outbounds.evidence.tlog.log_tree import LogTree

MODE = "x-amz-object-lock-mode"
UNTIL = "x-amz-object-lock-retain-until-date"


class Puts(list[str]):
    """The names of what is sent."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        put = Store.put

        def counting(self: Store, name: str, content: Path | bytes, sha256: str,
                     lock: float) -> None:
            names.append(name)
            put(self, name, content, sha256, lock)

        names = self
        monkeypatch.setattr(Store, "put", counting)


@pytest.fixture
def puts(monkeypatch: pytest.MonkeyPatch) -> Puts:
    return Puts(monkeypatch)


def sealed_segments(log: Path) -> list[Segment]:
    return [each for each in all_segments(log) if each.sealed]


def later(log: Path, days: float) -> float:
    return load_seal(sealed_segments(log)[-1].seal).end / 1e6 + days * DAY


# --- sending


def test_what_is_in_the_bucket_is_a_log(log: Path, bucket: Bucket, tmp_path: Path) -> None:
    done = Pass(log, bucket.settings())
    assert done.status["shipped"] == 3 and done.status["backlog"] == 0
    assert float(done.status["octets"]) > 10_000
    assert [line.partition(":")[2] for line in done.said] == [" in the store"] * 3
    bucket.download(tmp_path / "copy")
    copy = tmp_path / "copy" / "proxy1"
    here, there = [{str(path.relative_to(folder)): path.read_bytes()
                    for path in folder.rglob("*") if path.is_file()} for folder in (log, copy)]
    ours = {"shipped.json", "carried.json", "lock",
            f"segments/{all_segments(log)[-1].stem}.checkpoint"}
    assert set(there) - {"log/newest"} == {
        name for name in here if name not in ours and not name.endswith((".pem", ".jsonl"))}
    # the checkpoint there ends where the records there do; the newest is beside it
    here["log/newest"] = here["log/checkpoint"]
    here["log/checkpoint"] = all_segments(log)[-1].checkpoint.read_bytes()
    assert {name: here[name] for name in there} == there
    assert [each for each in read_all(log) if each.position < 1100] == list(read_all(copy))
    tree = LogTree.open(copy)
    assert tree.size == 1100 and tree.inclusion(700) == LogTree.open(log).inclusion(700, 1100)
    assert all(load_seal(each.seal).shipped for each in sealed_segments(log))


def test_what_must_stay_erasable_is_not_locked(log: Path, bucket: Bucket) -> None:
    Pass(log, bucket.settings())
    locked = {name.rpartition("/")[2]: bucket.header(name, MODE) for name in bucket.names()}
    for name, mode in locked.items():
        erasable = ".details." in name or name.endswith((".parquet", ".seal", ".json"))
        assert mode == ("" if erasable else "COMPLIANCE"), name
    (records, *_) = [name for name in bucket.names() if name.endswith(".records.zst")]
    assert bucket.header(records, UNTIL)[:10] == time.strftime(
        "%Y-%m-%d", time.gmtime(time.time() + 100 * DAY))


@pytest.mark.parametrize(("lock", "days"), [(10 * DAY, 10), (1000 * DAY, 180)])
def test_records_are_locked_no_longer_than_retention_lets_them_be_kept(
        log: Path, bucket: Bucket, lock: float, days: int) -> None:
    Pass(log, bucket.settings(lock=lock, mode="governance"))
    end = load_seal(sealed_segments(log)[0].seal).end / 1e6
    begins = end if days == 180 else time.time()
    name = f"proxy1/segments/{sealed_segments(log)[0].stem}.records.zst"
    assert bucket.header(name, UNTIL)[:10] == time.strftime(
        "%Y-%m-%d", time.gmtime(begins + days * DAY))
    assert bucket.header(name, MODE) == "GOVERNANCE"
    assert bucket.header("proxy1/log/keys", UNTIL)[:10] == time.strftime(
        "%Y-%m-%d", time.gmtime(time.time() + lock))


def test_records_that_are_due_already_are_not_locked(log: Path, bucket: Bucket) -> None:
    Pass(log, bucket.settings(), now=later(log, 400))
    name = f"proxy1/segments/{sealed_segments(log)[0].stem}.records.zst"
    assert bucket.header(name, MODE) == ""


def test_a_second_pass_sends_nothing(log: Path, bucket: Bucket, puts: Puts) -> None:
    Pass(log, bucket.settings())
    assert puts[-3:] == ["log/keys", "log/checkpoint", "log/newest"]
    puts.clear()
    assert Pass(log, bucket.settings()).status == {
        "shipped": 3, "backlog": 0, "octets": 0, "removed": 0}
    assert puts == []
    Pass(log, bucket.settings(), now=time.time() + 4000)
    assert puts == []  # an hour later the newest checkpoint goes, if there is a newer one
    (log / "log" / "checkpoint").write_bytes((log / "log" / "checkpoint").read_bytes() + b"\n")
    Pass(log, bucket.settings(), now=time.time() + 8000)
    assert puts == ["log/newest"]


def test_without_its_note_of_what_was_sent_nothing_is_sent_again(
        log: Path, bucket: Bucket, puts: Puts) -> None:
    Pass(log, bucket.settings())
    puts.clear()
    for content in (None, b"{"):
        (log / "shipped.json").unlink()
        if content is not None:
            (log / "shipped.json").write_bytes(content)
        assert Pass(log, bucket.settings()).status["shipped"] == 3
        assert puts == []


def test_another_store_gets_everything(log: Path, bucket: Bucket, puts: Puts) -> None:
    Pass(log, bucket.settings())
    first = list(puts)
    puts.clear()
    Pass(log, bucket.settings(prefix="elsewhere/proxy1"))
    assert sorted(puts) == sorted(first)
    assert len(bucket.names()) == 2 * len(set(first))


def test_a_pass_ends_in_time_and_the_next_goes_on(log: Path, bucket: Bucket) -> None:
    assert Pass(log, bucket.settings(), budget=-1.0).status["backlog"] == 3
    assert Pass(log, bucket.settings()).status["backlog"] == 0


def test_nothing_is_sent_without_a_store(log: Path) -> None:
    assert Pass(log, None).status == {}


def test_of_a_large_object_the_parts_are_put_together(
        bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "PART_OCTETS", 5 * 1024 * 1024)
    content = os.urandom(12 * 1024 * 1024)
    (tmp_path / "large").write_bytes(content)
    there = Store(bucket.settings())
    item = Item("large", whole("large", content), tmp_path / "large", time.time() + 5 * DAY)
    assert send(there, item) == len(content)
    assert send(there, item) == 0
    assert bucket.content("proxy1/large") == content
    assert bucket.header("proxy1/large", MODE) == "COMPLIANCE"  # set afterwards, if need be


def test_of_nothing_there_is_a_copy_too(bucket: Bucket) -> None:
    """No record of a segment need have a detail."""
    there = Store(bucket.settings())
    item = Item("empty", Part("empty", ()), b"")
    assert send(there, item) == 0 and bucket.names() == ["proxy1/empty"]
    bucket.client.put_object(bucket.name, "proxy1/empty", io.BytesIO(b"x"), 1)
    send(there, item)
    assert bucket.content("proxy1/empty") == b""


# --- killed anywhere


def _killed_at(log: Path, bucket: Bucket, method: str, number: int, after: bool) -> bool:
    """A pass in a child that kills itself at its call `number` of a method of `Store`; whether it
    came to that."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)  # should it hang, which is another signal
        count = 0
        real = getattr(Store, method)

        def deadly(*words: object) -> object:
            nonlocal count
            count += 1
            if count == number and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            found = real(*words)
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return found

        setattr(Store, method, deadly)
        ship._AT_ONCE = 1  # type: ignore[misc]
        try:
            Pass(log, bucket.settings())
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


@pytest.mark.parametrize(("method", "numbers", "after"), [
    ("put", range(1, 22, 7), False), ("put", range(4, 22, 7), True),
    ("read", range(3, 22, 9), False)])
def test_a_pass_that_is_killed_is_gone_on_with(
        log: Path, endpoint: str, tmp_path: Path, puts: Puts, method: str, numbers: range,
        after: bool) -> None:
    before = {path: path.read_bytes() for path in (log / "segments").iterdir()}
    for number in numbers:
        bucket = Bucket(endpoint, tmp_path)  # each time from nothing
        (log / "shipped.json").unlink(missing_ok=True)
        for path, content in before.items():
            path.write_bytes(content)
        assert _killed_at(log, bucket, method, number, after)
        there = set(bucket.names())
        puts.clear()
        assert Pass(log, bucket.settings()).status["backlog"] == 0
        # what was there was not sent again; a seal says since when it is, and is made anew
        again = {f"proxy1/{name}" for name in puts} & there
        assert all(name.endswith(".seal") for name in again) and len(again) <= 1
        Pass(log, bucket.settings())
        for path in (log / "segments").iterdir():
            name = f"proxy1/segments/{path.name}"
            if path.suffix in (".zst", ".seal", ".parquet"):
                assert bucket.content(name) == path.read_bytes(), name


# --- a store that does not keep what it was given


def _flipped(content: Path | bytes) -> bytes:
    octets = content if isinstance(content, bytes) else content.read_bytes()
    return bytes([octets[0] ^ 1]) + octets[1:]


@pytest.mark.parametrize("how_often", [1, 99])
def test_what_comes_back_otherwise_than_it_was_sent_is_found(
        log: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, how_often: int) -> None:
    read = Store.read
    damaged = []

    def damaging(self: Store, name: str, *words: int) -> Iterator[bytes]:
        octets = b"".join(read(self, name, *words))
        if name.endswith("01.records.zst") and len(damaged) < how_often:
            damaged.append(name)
            octets = _flipped(octets)
        yield octets

    monkeypatch.setattr(Store, "read", damaging)
    if how_often == 1:
        assert Pass(log, bucket.settings()).status["backlog"] == 0
        return
    with pytest.raises(KeeperFault, match=r"01\.records\.zst: frame 0 is not the one that was"):
        Pass(log, bucket.settings())
    segment = sealed_segments(log)[0]
    assert not load_seal(segment.seal).shipped and segment.records.exists()
    assert f"proxy1/segments/{segment.seal.name}" not in bucket.names()


def test_what_is_there_under_a_false_checksum_is_replaced(log: Path, bucket: Bucket) -> None:
    Pass(log, bucket.settings())
    details = load_seal(sealed_segments(log)[1].seal).details
    name = f"proxy1/segments/{details.name}"
    good = bucket.content(name)
    bucket.client.put_object(bucket.name, name, io.BytesIO(_flipped(good)), len(good),
                             metadata={"sha256": bucket.header(name, "x-amz-meta-sha256")})
    index(sealed_segments(log)[1], b"PAR1 anew")  # it is looked at again
    Pass(log, bucket.settings())
    assert bucket.content(name) == good


def test_what_is_damaged_here_is_not_sent(log: Path, bucket: Bucket) -> None:
    segment = sealed_segments(log)[1]
    segment.records.write_bytes(_flipped(segment.records))
    with pytest.raises(KeeperFault, match=rf"{segment.records.name}: frame 0 is not the one "
                                          "that was sealed; it is not sent"):
        Pass(log, bucket.settings())
    assert f"proxy1/segments/{segment.records.name}" not in bucket.names()
    assert f"proxy1/segments/{sealed_segments(log)[0].seal.name}" in bucket.names()


# --- leaving this machine


def test_what_left_is_read_from_the_store(log: Path, bucket: Bucket) -> None:
    settings = bucket.settings(keep_local=30 * DAY)
    everything = list(read_all(log))
    Pass(log, settings)
    assert Pass(log, settings, now=later(log, 29)).status["removed"] == 0
    done = Pass(log, settings, now=later(log, 31))
    assert done.status["removed"] == 3
    assert [line.partition(": ")[2] for line in done.said] == [
        "the copy here was removed, the one in the store was read back before"] * 3
    assert list((log / "segments").glob("*.zst")) == []
    assert len(list((log / "segments").glob("*.parquet"))) == 3
    assert Pass(log, settings, now=later(log, 32)).status == {
        "shipped": 3, "backlog": 0, "octets": 0, "removed": 0}
    with pytest.raises(FileNotFoundError):
        list(read_all(log))
    with reachable(settings):
        assert list(read_all(log)) == everything
        assert fetch(log, [3, 700, 1099]) == [everything[at] for at in (3, 700, 1099)]
    with pytest.raises(FileNotFoundError):
        list(read_all(log))
    LogTree.open(log).inclusion(5)  # proved by the tiles, which stay


def test_nothing_leaves_that_the_store_does_not_give_back(log: Path, bucket: Bucket) -> None:
    settings = bucket.settings(keep_local=30 * DAY)
    Pass(log, settings)
    name = f"proxy1/segments/{sealed_segments(log)[0].records.name}"
    bucket.client.put_object(bucket.name, name, io.BytesIO(b"not this"), 8)
    with pytest.raises(KeeperFault, match="nothing is removed here"):
        Pass(log, settings, now=later(log, 31))
    assert sealed_segments(log)[0].records.exists()


def test_what_left_comes_back_as_it_was(log: Path, bucket: Bucket) -> None:
    settings = bucket.settings(keep_local=DAY)
    Pass(log, settings)
    before = {path.name: path.read_bytes() for path in (log / "segments").glob("*.zst")}
    Pass(log, settings, now=later(log, 2))
    for segment in sealed_segments(log):
        with pytest.raises(FileNotFoundError, match="store that is not configured any more"):
            bring_back(None, segment)
        bring_back(settings, segment)
        bring_back(None, segment)  # it is here
    assert {path.name: path.read_bytes() for path in (log / "segments").glob("*.zst")} == before


def test_a_segment_that_left_and_has_a_new_index_is_shipped_again(
        log: Path, bucket: Bucket, puts: Puts) -> None:
    settings = bucket.settings(keep_local=DAY)
    Pass(log, settings)
    Pass(log, settings, now=later(log, 2))
    puts.clear()
    segment = sealed_segments(log)[0]
    index(segment, b"PAR1 anew")
    assert Pass(log, settings, now=later(log, 2)).status["backlog"] == 0
    assert puts == [f"segments/{segment.index.name}", f"segments/{segment.seal.name}"]


# --- changed afterwards


def _erase(segment: Segment) -> None:
    """As an erasure leaves it: files of the next generation, the old ones gone."""
    old = load_seal(segment.seal)
    parts = []
    for part, path in ((old.records, segment.records_of(1)), (old.details, segment.details(1))):
        path.write_bytes((segment.folder / part.name).read_bytes())
        parts.append(msgspec.structs.replace(part, name=path.name))
        (segment.folder / part.name).unlink()
    save_seal(segment.seal, msgspec.structs.replace(
        old, records=parts[0], details=parts[1], generation=1))
    index(segment, b"PAR1 without what was erased")


def test_what_was_erased_here_goes_there_too(log: Path, bucket: Bucket) -> None:
    Pass(log, bucket.settings())
    segment = sealed_segments(log)[0]
    _erase(segment)
    done = Pass(log, bucket.settings())
    assert done.status["backlog"] == 0
    left = [str(each.object_name).rpartition("/")[2] for each in bucket.client.list_objects(
        bucket.name, f"proxy1/segments/{segment.stem}.", include_version=True)]
    assert sorted(left) == sorted(path.name for path in (
        segment.details(1), segment.records_of(1), segment.records, segment.index,
        segment.checkpoint, segment.seal))
    assert bucket.content(f"proxy1/segments/{segment.index.name}") == segment.index.read_bytes()
    until = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 100 * DAY))
    assert f"segments/{segment.records.name}: an older version stays in the store until " \
           f"{until}, when its lock ends" in done.said
    # a bucket that locks nothing keeps nothing
    free = bucket.settings(prefix="free", lock=None)
    Pass(log, free)
    segment = sealed_segments(log)[1]
    _erase(segment)
    Pass(log, free)
    assert f"free/segments/{segment.records.name}" not in {
        str(each.object_name) for each in bucket.client.list_objects(
            bucket.name, "free/segments/", include_version=True)}


# --- a machine that has nothing of it


def test_a_log_of_which_nothing_is_here(log: Path, bucket: Bucket, tmp_path: Path) -> None:
    everything = [each for each in read_all(log) if each.position < 1100]
    Pass(log, bucket.settings())
    cache = tmp_path / "cache"
    with remote_log(bucket.settings(), cache=cache) as directory:
        assert list(read_all(directory)) == everything
        assert fetch(directory, [1099]) == everything[1099:]
        assert [each.stem for each in all_segments(directory)] == [
            each.stem for each in sealed_segments(log)]
        for here, there in zip(sealed_segments(log), all_segments(directory), strict=True):
            assert here.index.read_bytes() == there.index.read_bytes()
    # changed there: its seal is fetched again, and the index that it had is forgotten
    index(sealed_segments(log)[0], b"PAR1 anew")
    save_seal(sealed_segments(log)[1].seal, msgspec.structs.replace(
        load_seal(sealed_segments(log)[1].seal), index=None))
    Pass(log, bucket.settings())
    with remote_log(bucket.settings(), cache=cache) as directory:
        first, second, _ = all_segments(directory)
        assert first.index.read_bytes() == b"PAR1 anew"
        assert not second.index.exists()


def test_of_a_log_elsewhere_only_the_indexes_of_that_time_are_fetched(
        log: Path, bucket: Bucket, tmp_path: Path) -> None:
    Pass(log, bucket.settings())
    middle = load_seal(sealed_segments(log)[1].seal)
    with remote_log(bucket.settings(), middle.begin + 1, middle.end - 1,
                    tmp_path / "cache") as directory:
        assert [each.index.exists() for each in all_segments(directory)] == [False, True, False]


def test_a_segment_that_is_gone_from_the_store_is_gone_from_the_outline(
        log: Path, bucket: Bucket, tmp_path: Path) -> None:
    Pass(log, bucket.settings())
    remote = Remote(bucket.settings(), tmp_path / "cache")
    assert len(all_segments(remote.outline())) == 3
    bucket.client.remove_object(bucket.name,
                                f"proxy1/segments/{sealed_segments(log)[0].seal.name}")
    (tmp_path / "cache" / "tags.json").write_text("{")
    assert len(all_segments(remote.outline())) == 2


def test_the_cache_is_bounded(log: Path, bucket: Bucket, tmp_path: Path,
                              monkeypatch: pytest.MonkeyPatch) -> None:
    Pass(log, bucket.settings())
    monkeypatch.setattr("outbounds.evidence.shipping.remote.CACHE_OCTETS", 40)
    remote = Remote(bucket.settings(), tmp_path / "cache")
    for segment in all_segments(remote.outline()):
        assert remote.index(segment) is not None
    assert [path.name for path in (tmp_path / "cache").rglob("*.parquet")] == [
        sealed_segments(log)[-1].index.name]


def test_a_frame_that_was_changed_there_is_not_believed(
        log: Path, bucket: Bucket, tmp_path: Path) -> None:
    Pass(log, bucket.settings())
    name = f"proxy1/segments/{sealed_segments(log)[0].records.name}"
    octets = _flipped(bucket.content(name))
    bucket.client.put_object(bucket.name, name, io.BytesIO(octets), len(octets))
    with (remote_log(bucket.settings(), cache=tmp_path / "cache") as directory,
          pytest.raises(Damaged, match=r"proxy1/: .*records\.zst: frame 0")):
        list(read_all(directory))
