"""Folders, zips and tars: whole or not at all when they are written, not trusted when read."""

from __future__ import annotations

import io
import os
import signal
import tarfile
import zipfile
from pathlib import Path

import pytest

from outbounds.evidence.cases import container
from outbounds.evidence.cases.container import BadContainer, BadFile, reading, writing

FILES = {"SHA256SUMS": b"x", "a/b.json": b"{}", "c.txt": b""}
KINDS = ["out", "out.zip", "out.tar"]


def write(out: Path) -> None:
    with writing(out, "top", 1_795_262_587) as put:
        for name, octets in FILES.items():
            put(name, octets)


@pytest.mark.parametrize("name", KINDS)
def test_what_is_written_is_read(tmp_path: Path, name: str) -> None:
    write(tmp_path / name)
    with reading(tmp_path / name) as found:
        assert {each: found.read(each) for each in found.names} == FILES
        with pytest.raises(BadFile, match="d: is missing"):
            found.read("d")
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("name", KINDS[1:])
def test_the_same_is_the_same_octets(tmp_path: Path, name: str) -> None:
    write(tmp_path / name)
    (tmp_path / "again").mkdir()
    write(tmp_path / "again" / name)
    assert (tmp_path / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


@pytest.mark.parametrize("name", KINDS)
def test_a_failure_leaves_nothing(tmp_path: Path, name: str) -> None:
    with pytest.raises(KeyError), writing(tmp_path / name, "top", 0) as put:
        put("SHA256SUMS", b"x")
        raise KeyError
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", KINDS)
def test_whoever_is_killed_leaves_no_bundle_and_the_next_one_cleans_up(tmp_path: Path,
                                                                       name: str) -> None:
    child = os.fork()
    if child == 0:
        try:
            with writing(tmp_path / name, "top", 0) as put:
                put("SHA256SUMS", b"x")
                os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(1)
    os.waitpid(child, 0)
    assert os.listdir(tmp_path) == [f".{name}.{child}.part"]
    write(tmp_path / name)
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("name", KINDS)
def test_of_two_at_once_one_wins_and_the_other_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(OSError), writing(tmp_path / name, "top", 0) as put:
        put("SHA256SUMS", b"late")
        (tmp_path / name).write_bytes(b"early") if "." in name else \
            (tmp_path / name / "early").mkdir(parents=True)
    assert os.listdir(tmp_path) == [name]
    assert not (tmp_path / name).is_file() or (tmp_path / name).read_bytes() == b"early"


def zipped(path: Path, *files: tuple[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, octets in files:
            archive.writestr(name, octets)
    return path


def tarred(path: Path, *members: tuple[str, bytes]) -> Path:
    """A `type` as content makes the member of that type."""
    with tarfile.open(path, "w") as archive:
        for name, octets in members:
            info = tarfile.TarInfo(name)
            if octets in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE):
                info.type, info.linkname, octets = octets, "/etc/passwd", b""
            info.size = len(octets)
            archive.addfile(info, io.BytesIO(octets))
    return path


SUMS = ("SHA256SUMS", b"x")


@pytest.mark.parametrize(("members", "said"), [
    ([], "has no SHA256SUMS"),
    ([("a", b"")], "has no SHA256SUMS"),
    ([SUMS, ("../a", b"")], "no name of a file"),
    ([SUMS, ("/etc/passwd", b"")], "no name of a file"),
    ([SUMS, ("a/../../b", b"")], "no name of a file"),
    ([SUMS, ("a\nb", b"")], "no name of a file"),
    ([SUMS, SUMS], "is there twice"),
    ([("t/SHA256SUMS", b""), ("other", b"")], "lies outside"),
])
def test_an_archive_that_nobody_should_open(tmp_path: Path, members: list[tuple[str, bytes]],
                                            said: str) -> None:
    with pytest.raises(BadContainer, match=said), reading(tarred(tmp_path / "x.tar", *members)):
        pass
    if len(set(members)) == len(members):
        with pytest.raises(BadContainer, match=said), \
                reading(zipped(tmp_path / "x.zip", *members)):
            pass


@pytest.mark.parametrize("type", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_a_tar_with_what_is_no_file(tmp_path: Path, type: bytes) -> None:
    with pytest.raises(BadContainer, match="a: not a file"), \
            reading(tarred(tmp_path / "x.tar", SUMS, ("a", type))):
        pass


def test_a_folder_with_a_link_out_of_it(tmp_path: Path) -> None:
    (tmp_path / "SHA256SUMS").write_bytes(b"")
    (tmp_path / "a").symlink_to("/etc/passwd")
    with pytest.raises(BadContainer, match="neither a file nor a folder"), reading(tmp_path):
        pass


def test_a_bomb_is_not_swallowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "MAX_FILE", 1000)
    path = zipped(tmp_path / "x.zip", SUMS, ("a", bytes(100_000)))
    with reading(path) as found, pytest.raises(BadFile, match="a: is larger than 1000 octets"):
        found.read("a")


def test_too_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "MAX_FILES", 2)
    with pytest.raises(BadContainer, match="3 files"), \
            reading(zipped(tmp_path / "x.zip", SUMS, ("a", b""), ("b", b""))):
        pass


@pytest.mark.parametrize("octets", [b"", b"no archive", b"PK\x03\x04" + bytes(100), b"\0" * 1024])
def test_no_archive(tmp_path: Path, octets: bytes) -> None:
    (tmp_path / "x").write_bytes(octets)
    with pytest.raises(BadContainer), reading(tmp_path / "x"):
        pass


def test_a_damaged_member_is_named(tmp_path: Path) -> None:
    path = zipped(tmp_path / "x.zip", SUMS, ("a", os.urandom(1000)))
    octets = bytearray(path.read_bytes())
    octets[400] ^= 1
    path.write_bytes(octets)
    with reading(path) as found, pytest.raises(BadFile, match="a: cannot be read"):
        found.read("a")


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), reading(tmp_path / "x"):
        pass
