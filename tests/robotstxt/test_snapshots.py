"""What was read is on disk, whole, once, for as long as it has to be."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from outbounds.robotstxt import Snapshots
from outbounds.robotstxt.snapshots import TOUCH_EVERY

DAY = 86_400.0
BODY = b"user-agent: *\ndisallow: /x\n"
DIGEST = hashlib.sha256(BODY).hexdigest()


class Wall:
    now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def kept(tmp_path: Path, wall: Wall) -> Snapshots:
    return Snapshots(tmp_path / "robots", 10 * DAY, wall)


def files(tmp_path: Path) -> list[Path]:
    return sorted(path for path in (tmp_path / "robots").rglob("*") if path.is_file())


def test_keeps_the_very_octets(kept: Snapshots, tmp_path: Path) -> None:
    kept.keep(DIGEST, BODY)
    path = tmp_path / "robots" / DIGEST[:2] / f"{DIGEST}.txt"
    assert files(tmp_path) == [path]
    assert path.read_bytes() == BODY == kept.read(DIGEST)
    assert path.stat().st_mode & 0o777 == 0o600
    for folder in (path.parent, path.parent.parent):
        assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("digest", ["", "0" * 64, "../../passwd", DIGEST.upper(), DIGEST + "\n"])
def test_reads_nothing_else(kept: Snapshots, digest: str) -> None:
    kept.keep(DIGEST, BODY)
    assert kept.read(digest) is None


def test_what_was_tampered_with_is_not_it(kept: Snapshots, tmp_path: Path) -> None:
    kept.keep(DIGEST, BODY)
    files(tmp_path)[0].write_bytes(BODY.replace(b"/x", b"/y"))
    assert kept.read(DIGEST) is None


def test_is_touched_once_an_hour_at_most(kept: Snapshots, tmp_path: Path, wall: Wall) -> None:
    assert kept.due(DIGEST)
    kept.keep(DIGEST, BODY)
    assert not kept.due(DIGEST)
    wall.now += TOUCH_EVERY
    assert kept.due(DIGEST)
    before = files(tmp_path)[0].stat()
    kept.keep(DIGEST, BODY)
    after = files(tmp_path)[0].stat()
    assert after.st_mtime == wall.now
    assert (after.st_ino, after.st_size) == (before.st_ino, before.st_size), "written once"


def test_prunes_what_is_seen_no_more(kept: Snapshots, tmp_path: Path, wall: Wall) -> None:
    kept.keep(DIGEST, BODY)
    other = b"user-agent: *\n"
    wall.now += 5 * DAY
    kept.keep(hashlib.sha256(other).hexdigest(), other)
    assert kept.prune(wall.now + 5 * DAY - 1) == 0
    assert kept.prune(wall.now + 5 * DAY) == 1
    assert [path.read_bytes() for path in files(tmp_path)] == [other]


def test_prunes_nothing_where_there_is_nothing(kept: Snapshots) -> None:
    assert kept.prune(0.0) == 0


def test_what_is_seen_every_hour_is_never_pruned(tmp_path: Path, wall: Wall) -> None:
    kept = Snapshots(tmp_path / "robots", 1.0, wall)
    kept.keep(DIGEST, BODY)
    assert kept.prune(wall.now + TOUCH_EVERY + 60) == 0


@pytest.mark.parametrize("what", ["write", "fsync", "rename"])
def test_a_full_disk_keeps_nothing_and_says_so(
    kept: Snapshots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        if what == "rename":
            patched.setattr(Path, "rename", full)
        elif what == "fsync":
            patched.setattr(os, "fsync", full)
        else:
            patched.setattr("builtins.open", full)
        with pytest.raises(OSError, match="No space left"):
            kept.keep(DIGEST, BODY)
    assert files(tmp_path) == []
    assert kept.due(DIGEST), "it is tried again"
    kept.keep(DIGEST, BODY)
    assert kept.read(DIGEST) == BODY


def test_a_full_disk_does_not_matter_where_it_is_there(
    kept: Snapshots, wall: Wall, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.keep(DIGEST, BODY)
    wall.now += 2 * TOUCH_EVERY
    monkeypatch.setattr("builtins.open", None)
    kept.keep(DIGEST, BODY)
    assert not kept.due(DIGEST)


def test_a_torn_file_is_written_anew(kept: Snapshots, tmp_path: Path, wall: Wall) -> None:
    kept.keep(DIGEST, BODY)
    files(tmp_path)[0].write_bytes(BODY[:5])
    wall.now += TOUCH_EVERY
    kept.keep(DIGEST, BODY)
    assert kept.read(DIGEST) == BODY


KILLED = """
import os, sys
from pathlib import Path
from outbounds.robotstxt import Snapshots
Path.rename = lambda *_: os._exit(9)
Snapshots(Path(sys.argv[1]), 864000.0).keep({digest!r}, {body!r})
"""


def test_killed_before_the_rename_leaves_no_file(
    kept: Snapshots, tmp_path: Path, wall: Wall
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED.format(digest=DIGEST, body=BODY), str(tmp_path / "robots")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, timeout=30, check=False)
    assert done.returncode == 9
    wall.now = time.time()
    assert [path.suffix for path in files(tmp_path)] == [".draft"]
    assert kept.read(DIGEST) is None
    kept.keep(DIGEST, BODY)
    assert kept.read(DIGEST) == BODY
    draft = files(tmp_path)[0]
    assert draft.suffix == ".draft"
    kept.prune(draft.stat().st_mtime + 60)
    assert draft.exists(), "it may be another's, who is writing it"
    kept.prune(draft.stat().st_mtime + 3600)
    assert [path.suffix for path in files(tmp_path)] == [".txt"]


WRITERS = """
import hashlib, sys
from pathlib import Path
from outbounds.robotstxt import Snapshots
for n in range(60):
    body = b"user-agent: *\\ndisallow: /%d\\n" % n * 200
    kept = Snapshots(Path(sys.argv[1]), 864000.0)
    kept.keep(hashlib.sha256(body).hexdigest(), body)
    assert kept.read(hashlib.sha256(body).hexdigest()) == body
    kept.prune(0.0)
"""


def test_many_may_write_the_same(tmp_path: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITERS, str(tmp_path / "robots")],
                                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
               for _ in range(4)]
    assert [writer.wait(60) for writer in writers] == [0] * 4
    found = files(tmp_path)
    assert len(found) == 60
    assert {path.stem for path in found} == \
        {hashlib.sha256(path.read_bytes()).hexdigest() for path in found}
