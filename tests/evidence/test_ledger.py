"""What is a repetition and what is not: the table of `ledger`, and the laws that rest on it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbounds.evidence.ledger import InvalidLine, Ledger, Open, Slip, load, slip
from outbounds.evidence.record import CONNECTION, END, START
from outbounds.evidence.tlog.peaks import Peaks


def named(id: str, type: str, at: str = "t0") -> Slip:
    return Slip(id, type, "request", "s", at)


@pytest.mark.parametrize(("before", "line", "taken"), [
    # nothing is known of the id
    ("", START, True), ("", CONNECTION, True), ("", END, True),
    # it is open
    ("start", START, False), ("start", CONNECTION, True), ("start", END, True),
    # it is open, and so is a connection
    ("start connection", START, False), ("start connection", CONNECTION, False),
    ("start connection", END, True),
    # a connection whose opening never came
    ("connection", CONNECTION, False), ("connection", END, True),
    # it is closed
    ("start end", START, False), ("start end", CONNECTION, False), ("start end", END, False),
    ("end", START, False), ("end", CONNECTION, False), ("end", END, False),
])
def test_the_table(before: str, line: str, taken: bool) -> None:
    ledger = Ledger()
    for each in before.split():
        assert ledger.note(named("a", each))
    assert ledger.note(named("a", line)) is taken


def test_another_connection_of_the_same_record_is_kept() -> None:
    ledger = Ledger()
    for at in ("t1", "t2"):
        assert ledger.note(named("a", CONNECTION, at))
    assert not ledger.note(named("a", CONNECTION, "t1"))
    assert ledger.open["a"] == Open("s", "request", ("t1", "t2"))
    assert ledger.sessions() == {"s": ["a"]}


def test_a_line_of_no_kind_is_refused() -> None:
    line = (b'{"@timestamp":"t","event.id":"a","event.type":"%b","event.action":"x",'
            b'"outbounds.session":"s"}\n')
    assert slip(line % b"connection") == Slip("a", CONNECTION, "x", "s", "t")
    with pytest.raises(InvalidLine, match="none of start, connection, end"):
        slip(line % b"access")


@st.composite
def lives(draw: st.DrawFn) -> list[Slip]:
    """The lines of one client in the order it makes them: of each id an opening, some connections,
    a closing, mixed with those of other ids."""
    waiting = [[named(f"id{number}", START),
                *(named(f"id{number}", CONNECTION, f"t{each}")
                  for each in range(draw(st.integers(0, 3)))),
                *([named(f"id{number}", END)] if draw(st.booleans()) else [])]
               for number in range(draw(st.integers(1, 5)))]
    lines = []
    while waiting:
        life = draw(st.sampled_from(waiting))
        lines.append(life.pop(0))
        waiting = [each for each in waiting if each]
    return lines


@given(lives(), st.data())
def test_a_batch_that_is_sent_again_neither_doubles_nor_drops(lines: list[Slip],
                                                              data: st.DataObject) -> None:
    """A client sends again, in order, from the oldest line that it did not hear of."""
    ledger, kept, heard, came = Ledger(), [], 0, 0
    for _ in range(data.draw(st.integers(0, 5))):
        came = data.draw(st.integers(max(heard, came), len(lines)))
        kept += [line for line in lines[heard:came] if ledger.note(line)]
        heard = data.draw(st.integers(heard, came))
    kept += [line for line in lines[heard:] if ledger.note(line)]
    assert kept == lines


@given(lives(), st.integers(0, 30))
def test_what_did_not_reach_the_disk_was_never_known(lines: list[Slip], place: int) -> None:
    ledger, plain = Ledger(), Ledger()
    for line in lines[:place]:
        ledger.note(line)
        plain.note(line)
    noted = []
    for line in lines[place:]:
        was_open = ledger.open.get(line.id)
        if ledger.note(line):
            noted.append((line, was_open))
    ledger.undo(noted)
    assert ledger.open == plain.open
    assert [line for line in lines[place:] if ledger.note(line)] == lines[place:]


def test_connections_survive_a_restart(tmp_path: Path) -> None:
    (tmp_path / "segments").mkdir()
    ledger = Ledger()
    for line in (named("a", START), named("a", CONNECTION, "t1"), named("b", START),
                 named("b", END)):
        ledger.note(line)
    peaks = Peaks()
    peaks.extend([bytes(32)])
    ledger.save(tmp_path, 7, peaks)
    found = load(tmp_path).ledger
    assert not found.note(named("a", CONNECTION, "t1"))
    assert found.note(named("a", CONNECTION, "t2"))
    assert not found.note(named("b", CONNECTION, "t1"))
    assert found.note(named("b2", END))


def test_what_was_carried_before_there_were_connections_is_read(tmp_path: Path) -> None:
    (tmp_path / "segments").mkdir()
    (tmp_path / "carried.json").write_text(
        '{"sequence":7,"open":{"a":["s","request"]},"closed":[],"size":1,"peaks":["%s"]}'
        % ("00" * 32))
    loaded = load(tmp_path)
    assert loaded.ledger.open == {"a": Open("s", "request")} and not loaded.odd
