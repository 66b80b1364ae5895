"""What is closed is taken over as the file changes, and what has ended is open again."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import pytest

from outbounds.core.closed_targets import Closed, ClosedTargets
from outbounds.lists.closed_file import ClosedFileError, close_target, closed_path, open_target
from outbounds.proxy.closed_keeper import ClosedKeeper

NOW = 1_800_000_000.0


class Follower:
    def __init__(self, data: Path) -> None:
        self.now = NOW
        self.acts: list[tuple[list[str], list[str]]] = []
        self.reports: list[tuple[int, bool]] = []
        self.path = closed_path(data)
        self.keeper = ClosedKeeper(self.path, self, lambda *said: self.reports.append(said),
                                   lambda: self.now)

    def __call__(self, targets: ClosedTargets, closed: Sequence[Closed],
                 opened: Sequence[Closed]) -> None:
        self.acts.append(([each.target for each in closed], [each.target for each in opened]))

    def close(self, target: str, until: float | None = None, reason: str = "x") -> None:
        close_target(self.path, Closed(target, reason, NOW, until))
        self.keeper.look()


@pytest.fixture
def follower(tmp_path: Path) -> Follower:
    made = Follower(tmp_path)
    made.keeper.load()
    return made


def test_every_change_is_followed_once(follower: Follower) -> None:
    assert follower.acts == []
    follower.close("a.example")
    follower.keeper.look()
    follower.close("b.example")
    follower.close("b.example", reason="another")
    open_target(follower.path, "a.example")
    follower.keeper.look()
    assert follower.acts == [(["a.example"], []), (["b.example"], []), (["b.example"], []),
                             ([], ["a.example"])]
    follower.path.unlink()
    follower.keeper.look()
    assert follower.acts[-1] == ([], ["b.example"])
    assert follower.reports[-1] == (0, False)


def test_what_has_ended_is_open_without_a_change_of_the_file(follower: Follower) -> None:
    follower.close("a.example", until=NOW + 10)
    follower.close("b.example")
    follower.now += 9.9
    follower.keeper.look()
    assert len(follower.acts) == 2
    follower.now += 0.1
    follower.keeper.look()
    assert follower.acts[-1] == ([], ["a.example"])
    assert [each.target for each in follower.keeper.current.entries] == ["b.example"]


def test_what_had_ended_before_the_start_is_not_closed(tmp_path: Path) -> None:
    close_target(closed_path(tmp_path), Closed("a.example", "x", NOW - 10, NOW - 1))
    close_target(closed_path(tmp_path), Closed("b.example", "x", NOW - 10))
    follower = Follower(tmp_path)
    follower.keeper.load()
    assert follower.acts == [(["b.example"], [])]


def test_a_file_that_breaks_is_said_once_and_changes_nothing(
        follower: Follower, caplog: pytest.LogCaptureFixture) -> None:
    follower.close("a.example")
    good = follower.path.read_bytes()
    follower.path.write_bytes(b"{")
    with caplog.at_level(logging.INFO, "outbounds"):
        for _ in range(3):
            follower.keeper.look()
        assert follower.reports[-1] == (1, True)
        assert follower.keeper.trouble
        assert [each.target for each in follower.keeper.current.entries] == ["a.example"]
        follower.path.write_bytes(good)
        follower.keeper.look()
    assert not follower.keeper.trouble and follower.reports[-1] == (1, False)
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]
    assert len(follower.acts) == 1


def test_a_fault_in_what_follows_is_tried_again(tmp_path: Path) -> None:
    follower = Follower(tmp_path)
    follower.keeper.load()
    faults = iter([RuntimeError("once")])
    follow = follower.keeper._follow

    def failing(*acts: object) -> None:
        for fault in faults:
            raise fault
        follow(*acts)  # type: ignore[arg-type]

    follower.keeper._follow = failing
    follower.close("a.example")
    assert follower.keeper.trouble == "once" and follower.acts == []
    follower.keeper.look()
    assert follower.acts == [(["a.example"], [])] and not follower.keeper.trouble


def test_a_file_that_is_broken_at_the_start_is_an_error(tmp_path: Path) -> None:
    closed_path(tmp_path).write_bytes(b"{")
    with pytest.raises(ClosedFileError):
        Follower(tmp_path).keeper.load()
