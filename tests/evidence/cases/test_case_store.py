"""Cases on disk: what a crash leaves, what a changed file is called, what a hold covers."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from casework import RECORD, Casework

from outbounds.evidence.cases.custody import Added, Closed, Held, Noted, Released, pack
from outbounds.evidence.cases.items import Item, together, write_items
from outbounds.evidence.cases.store import CaseClosed, CaseDamaged, CaseExists, NoSuchCase

ITEMS = [Item("e1", "acct_a", (4, 9), True), Item("e2", "acct_b", (5,), False)]


def added(items: list[Item] = ITEMS) -> Added:
    from hashlib import sha256
    return Added(query="target www.example.org", events=len(items), records=3, size=10,
                 items=sha256(write_items(items)).hexdigest(), accounts=("acct_a", "acct_b"))


def test_ids_are_numbered_by_year_and_may_be_given(casework: Casework) -> None:
    assert [casework.open().id, casework.open().id, casework.open("ABUSE-77").id] \
        == ["C-2026-001", "C-2026-002", "ABUSE-77"]
    assert casework.cases.ids() == ["ABUSE-77", "C-2026-001", "C-2026-002"]
    with pytest.raises(CaseExists, match="ABUSE-77: there is one already"):
        casework.open("ABUSE-77")


@pytest.mark.parametrize("id", ["../x", "a/b", ".hidden", "-x", "a b", "x" * 65, "ä"])
def test_an_id_names_no_other_folder(casework: Casework, id: str) -> None:
    with pytest.raises(ValueError, match="letters, digits and hyphens"):
        casework.open(id)
    with pytest.raises(NoSuchCase):
        casework.cases.get(id)


def test_what_was_done_is_what_is_read(casework: Casework) -> None:
    id = casework.open(title="Ünïcode — “quoted” \t\n<b>").id
    casework.do(id, Noted(text="two\nlines"))
    casework.do(id, added(), ITEMS)
    case = casework.cases.open_case(id)
    assert case.title == "Ünïcode — “quoted” \t\n<b>"
    assert case.opened == "2026-11-21T12:03:07.000250Z"
    assert [line.entry.act for line in case.lines] == ["open", "note", "add"]
    assert case.items == ITEMS
    assert case.signer().verifier == type(case.signer().verifier).parse(case.key)
    assert all(path.stat().st_mode & 0o077 == 0 for path in case.folder.iterdir())


def test_nothing_is_done_in_a_closed_case(casework: Casework) -> None:
    id = casework.open().id
    casework.do(id, Closed(reason="over"))
    assert casework.cases.get(id).closed
    with pytest.raises(CaseClosed, match=f"case {id}: was closed 2026-11-21T12:03:07"):
        casework.do(id, Noted(text="too late"))
    with pytest.raises(CaseClosed):
        casework.cases.open_case(id)


def test_a_torn_last_entry_never_happened_and_is_written_over(casework: Casework) -> None:
    """Cut at every octet of the last line: the case is as before it, and can go on."""
    case = casework.open()
    casework.do(case.id, Noted(text="first"))
    path = case.folder / "custody.jsonl"
    before = path.read_bytes()
    casework.do(case.id, Noted(text="second"))
    whole = path.read_bytes()
    for size in range(len(before), len(whole)):
        path.write_bytes(whole[:size])
        assert len(casework.cases.get(case.id).lines) == 2
    casework.do(case.id, Noted(text="another"))
    contents = [line.content for line in casework.cases.get(case.id).lines]
    assert [each.text for each in contents if isinstance(each, Noted)] == ["first", "another"]


def test_every_changed_octet_is_found(casework: Casework) -> None:
    """Of the log and of the items; in the last entry only the content is hashed here, the rest of
    it by the evidence log and by the case's signature."""
    case = casework.open()
    casework.do(case.id, added(), ITEMS)
    casework.do(case.id, Noted(text="x"))
    for name, until in (("custody.jsonl", -1), ("items-0002.jsonl", None)):
        path = case.folder / name
        whole = path.read_bytes()
        last = whole[:-1].rfind(b"\n") + 1 if until else len(whole)
        for at in range(0, last, 7):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:])
            with pytest.raises((CaseDamaged, NoSuchCase)) as raised:
                casework.cases.get(case.id).items  # noqa: B018
            assert name in str(raised.value)
        path.write_bytes(whole)
    assert casework.cases.get(case.id).items == ITEMS


@pytest.mark.parametrize("without", [0, 1, 2])
def test_a_missing_entry_is_found(casework: Casework, without: int) -> None:
    case = casework.open()
    for text in ("a", "b", "c"):
        casework.do(case.id, Noted(text=text))
    path = case.folder / "custody.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:without] + lines[without + 1:]))
    with pytest.raises(CaseDamaged, match=r"custody.jsonl: line \d: is entry \d"):
        casework.cases.get(case.id)


def test_holds_that_cannot_be_read_stop_who_asks(casework: Casework) -> None:
    """A retention that did not see a hold would remove what it keeps."""
    one, other = casework.open(), casework.open()
    casework.do(one.id, Held(reason="court", account="acct_a"))
    (other.folder / "custody.jsonl").write_bytes(b"{}\n")
    with pytest.raises(CaseDamaged, match=f"{other.id}/custody.jsonl: line 1"):
        casework.cases.holds()


def test_items_that_are_gone_stop_who_asks_for_holds(casework: Casework) -> None:
    case = casework.open()
    casework.do(case.id, added(), ITEMS)
    casework.do(case.id, Held(reason="court", all_items=True))
    (case.folder / "items-0002.jsonl").unlink()
    with pytest.raises(CaseDamaged, match=r"items-0002\.jsonl: is gone"):
        casework.cases.holds()


@pytest.mark.parametrize(("held", "event", "account", "begin", "end", "kept"), [
    (Held(reason="r", account="a"), "e", "a", 1, 2, True),
    (Held(reason="r", account="a"), "e", "b", 1, 2, False),
    (Held(reason="r", account="a"), "e", "", 1, 2, False),
    (Held(reason="r", account="a", since=5), "e", "a", 1, 4, False),
    (Held(reason="r", account="a", since=5), "e", "a", 1, 5, True),    # it lasted into the span
    (Held(reason="r", account="a", until=5), "e", "a", 5, 9, True),
    (Held(reason="r", account="a", until=5), "e", "a", 6, 9, False),
    (Held(reason="r", account="a", since=3, until=5), "e", "a", 1, 9, True),
    (Held(reason="r", events=("e",)), "e", "b", 1, 2, True),
    (Held(reason="r", events=("e",)), "f", "b", 1, 2, False),
    (Held(reason="r", all_items=True), "e2", "z", 1, 2, True),
    (Held(reason="r", all_items=True), "e3", "acct_a", 1, 2, False),
    (Held(reason="r"), "e", "", 1, 2, False),
])
def test_what_a_hold_covers(casework: Casework, held: Held, event: str, account: str, begin: int,
                            end: int, kept: bool) -> None:
    case = casework.open()
    casework.do(case.id, held)
    casework.do(case.id, added(), ITEMS)  # after the hold: those added later are held, too
    hold, = casework.cases.holds()
    assert hold.covers(event=event, account=account, begin=begin, end=end) is kept


def test_a_hold_keeps_what_the_log_says_of_the_case(casework: Casework) -> None:
    """Without those records nothing of the case could be proved later."""
    case = casework.open()
    casework.do(case.id, Held(reason="one", account="a"))
    hold, = casework.cases.holds()
    assert hold.covers(event=RECORD, account="", begin=1, end=2)


def test_a_released_hold_keeps_nothing(casework: Casework) -> None:
    case = casework.open()
    casework.do(case.id, Held(reason="one", account="a"))
    casework.do(case.id, Held(reason="two", account="b"))
    casework.do(case.id, Released(hold=2, reason="over"))
    assert [hold.reason for hold in casework.cases.holds()] == ["two"]


def test_changes_wait_for_each_other(casework: Casework) -> None:
    case = casework.open()
    threads = [threading.Thread(target=casework.do, args=(case.id, Noted(text=str(number))))
               for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(casework.cases.get(case.id).lines) == 13


def test_an_opening_that_fails_leaves_no_case(casework: Casework,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(os, "rename", full)
        casework.open()
    assert casework.cases.ids() == [] and casework.open().id == "C-2026-001"


def test_a_key_that_is_not_the_case_s_signs_nothing(casework: Casework) -> None:
    one, other = casework.open(), casework.open()
    (one.folder / "key.pem").write_bytes((other.folder / "key.pem").read_bytes())
    with pytest.raises(CaseDamaged, match="not the key that the case was opened with"):
        one.signer()


def test_an_event_is_one_item_however_often_it_was_added() -> None:
    assert together([Item("e", "", (3,), False), Item("f", "b", (1,), True),
                     Item("e", "a", (3, 8), True)]) \
        == [Item("f", "b", (1,), True), Item("e", "a", (3, 8), True)]


def test_two_contents_that_say_the_same_have_different_hashes() -> None:
    """So that a hash that is left when a content is left out cannot be tried out."""
    assert pack(Noted(text="x"))[1] != pack(Noted(text="x"))[1]


def test_no_cases_yet(tmp_path: Path) -> None:
    casework = Casework(tmp_path / "nowhere")
    assert (casework.cases.ids(), casework.cases.holds()) == ([], [])
    with pytest.raises(NoSuchCase, match="there are: none; `outbounds case open`"):
        casework.cases.get("C-1")
