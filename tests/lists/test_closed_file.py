"""`closed.json`: what is written is read again, by anybody, whole or not at all."""

from __future__ import annotations

import json
import multiprocessing
import stat
from pathlib import Path

import pytest

from outbounds.core.closed_targets import Closed
from outbounds.lists.closed_file import (
    ClosedFileError,
    close_target,
    closed_path,
    open_target,
    read_closed,
)

NOW = 1_800_000_000.0
ENTRY = Closed("example.com", "complaint “4711”", NOW, NOW + 7200, "root (alice)", "S-live")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return closed_path(tmp_path / "var")


def test_what_is_closed_is_read_again(path: Path) -> None:
    assert read_closed(path).entries == ()
    close_target(path, ENTRY)
    assert read_closed(path).entries == (ENTRY,)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    other = Closed("192.0.2.7", "x", NOW)
    close_target(path, other)
    again = Closed("example.com", "another reason", NOW + 1)
    close_target(path, again)
    assert read_closed(path).entries == (other, again)
    assert open_target(path, "example.com") == again
    assert open_target(path, "example.com") is None
    assert read_closed(path).entries == (other,)


def test_times_can_be_read_by_people(path: Path) -> None:
    close_target(path, ENTRY)
    entry, = json.loads(path.read_text())["closed"]
    assert (entry["since"], entry["until"]) == ("2027-01-15T08:00:00Z", "2027-01-15T10:00:00Z")


GOOD = {"target": "example.com", "reason": "x", "since": "2027-01-15T08:00:00Z"}
BAD = [
    ("not JSON", "{", "truncated"),
    ("another form", "{}", "closed"),
    ("no target", {"reason": "x", "since": GOOD["since"]}, "target"),
    ("unknown key", {**GOOD, "untill": GOOD["since"]}, "untill"),
    ("no time zone", {**GOOD, "since": "2027-01-15T08:00:00"}, "$.closed[0].since"),
    ("no host", {**GOOD, "target": "a b.example"}, "closed[0].target: 'a b.example' is not a host"),
    ("whole domain", {**GOOD, "target": "com"}, "a whole top-level domain"),
    ("another spelling", {**GOOD, "target": "Example.com"}, "write 'example.com'"),
    ("two lines", {**GOOD, "reason": "a\nb"}, "$.closed[0].reason"),
    ("no clause", {**GOOD, "clause": "retaliate"}, "$.closed[0].clause"),
    ("no text", b"\xff\xfe", "mend the file"),
]


@pytest.mark.parametrize(("content", "said"), [case[1:] for case in BAD],
                         ids=[case[0] for case in BAD])
def test_a_broken_file_is_an_error_that_names_it(
        path: Path, content: object, said: str) -> None:
    path.parent.mkdir()
    text = {"closed": [content]} if isinstance(content, dict) else content
    path.write_bytes(text if isinstance(text, bytes) else
                     text.encode() if isinstance(text, str) else json.dumps(text).encode())
    before = path.read_bytes()
    for act in (lambda: read_closed(path), lambda: close_target(path, ENTRY),
                lambda: open_target(path, "example.com")):
        with pytest.raises(ClosedFileError) as error:
            act()
        assert str(error.value).startswith(f"{path}: ") and said in str(error.value)
    assert path.read_bytes() == before  # nobody writes over what nobody could read


@pytest.mark.parametrize("entry", [
    Closed("example.com", "x", NOW, clause="none"), Closed("example.com", "x" * 501, NOW)])
def test_what_could_not_be_read_again_is_not_written(path: Path, entry: Closed) -> None:
    close_target(path, ENTRY)
    with pytest.raises(ClosedFileError, match="not changed"):
        close_target(path, entry)
    assert read_closed(path).entries == (ENTRY,)


def _close_many(path: Path, first: int) -> None:
    for number in range(first, first + 20):
        close_target(path, Closed(f"n{number}.example", "x", NOW))


def test_two_operators_at_once_both_get_what_they_asked_for(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    both = [context.Process(target=_close_many, args=(path, first)) for first in (0, 100)]
    for each in both:
        each.start()
    for each in both:
        each.join(60)
    assert [each.exitcode for each in both] == [0, 0]
    assert {each.target for each in read_closed(path).entries} == {
        f"n{number}.example" for first in (0, 100) for number in range(first, first + 20)}
