"""A file that commands write: bounded, and replaced as a whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from outbounds.settings.operator_file import OperatorFile


class BadFile(Exception):
    pass


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "acts.json"


@pytest.fixture
def file(path: Path) -> OperatorFile:
    return OperatorFile(path, BadFile, 1000, "have fewer")


def put(file: OperatorFile, content: bytes) -> None:
    with file.changing():
        file.replace(content)


def test_what_is_put_there_is_read(file: OperatorFile, path: Path) -> None:
    assert file.read() is None
    for content in (b"a" * 1000, b"b", b""):
        put(file, content)
        assert file.read() == content
    assert {each.name for each in path.parent.iterdir()} == {"acts.json", "acts.lock"}


def test_what_a_crash_left_is_in_nobodys_way(file: OperatorFile, path: Path) -> None:
    put(file, b"before")
    path.with_name("acts.json.new").write_bytes(b"half of somethi" * 50)
    assert file.read() == b"before"
    put(file, b"after")
    assert file.read() == b"after"


def test_too_much_is_neither_read_nor_written(file: OperatorFile, path: Path) -> None:
    put(file, b"before")
    with pytest.raises(BadFile, match="not changed: it would have more than 1000 bytes; have few"):
        put(file, b"x" * 1001)
    assert file.read() == b"before"
    path.write_bytes(b"x" * 1001)
    with pytest.raises(BadFile, match="more than 1000 bytes; have fewer"):
        file.read()


def test_what_the_system_refuses_is_the_error_given(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    file = OperatorFile(tmp_path / "file" / "acts.json", BadFile, 1000, "")
    with pytest.raises(BadFile, match="run the command as root or as the proxy's user"):
        put(file, b"x")
    with pytest.raises(BadFile, match="let the proxy's user read it"):
        file.read()


def test_a_link_is_not_followed(file: OperatorFile, path: Path, tmp_path: Path) -> None:
    """Whoever may write in the folder cannot have root write elsewhere."""
    put(file, b"before")
    (tmp_path / "victim").write_text("untouched")
    os.symlink(tmp_path / "victim", path.with_name("acts.json.new"))
    with pytest.raises(BadFile):
        put(file, b"after")
    assert (tmp_path / "victim").read_text() == "untouched"
