"""The build: what ends up in force, and what stays when a list or the machine fails."""

from __future__ import annotations

import dataclasses
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from building import House

from outbounds.core.hit import Terms
from outbounds.core.list_entry import Entry
from outbounds.lists import build as building
from outbounds.lists import part_store
from outbounds.lists.build_lock import BuildRunning, build_lock
from outbounds.lists.status import Status, read_status


def test_every_list_is_in_one_generation_that_says_list_and_line(tmp_path: Path) -> None:
    house = House(tmp_path, malware="# one\nbad.example\n", ads="ads.example\nbad.example\n")
    status = house.build()
    assert house.denied(["www.bad.example", "ads.example", "good.example"]) == {
        "www.bad.example": ["ads:2", "malware:2"], "ads.example": ["ads:1"], "good.example": []}
    assert status.version == house.places.version() == house.generation().version
    assert (status.missing, status.faults) == ((), ())
    assert read_status(house.places.status) == status
    malware = status.of("malware")
    assert malware is not None
    assert (malware.entries, malware.format, malware.error) == (1, "domains", "")
    path = house.folder.path / "lists/malware"
    assert (malware.source, malware.good_at) == (str(path), path.stat().st_mtime)


def test_an_unchanged_list_is_not_read_again_and_gives_the_same_generation(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(tmp_path, one="a.example\n")
    first = house.build()

    def reader(*_: object, **__: object) -> None:
        raise AssertionError("it was read again")
    monkeypatch.setattr("outbounds.lists.part_store.ListReader", reader)
    assert house.build().version == first.version
    with pytest.raises(AssertionError, match="read again"):
        house.build(force=True)


def test_what_nobody_names_any_more_is_deleted_but_the_generation_before(tmp_path: Path) -> None:
    """Another worker may be opening it at this moment."""
    house = House(tmp_path, one="a.example\n")
    first = house.build().version
    house.write("one", "b.example\n")
    second = house.build().version
    assert {first, second} <= house.left()
    assert len(house.left()) == 4, "two generations, one part and what is known about it"
    long_ago = time.time() - building.KEPT_FOR - 1
    os.utime(house.places.generations / first, (long_ago, long_ago))
    house.build()
    assert first not in house.left()
    assert second in house.left()


def test_one_build_at_a_time(tmp_path: Path) -> None:
    house = House(tmp_path, one="a.example\n")
    house.places.make()
    with build_lock(house.places.lock), pytest.raises(
            BuildRunning, match="another build of the lists is under way"):
        house.build()
    house.build()


# --- lists that cannot be used --------------------------------------------------------------------


def test_a_bad_list_keeps_its_last_good_copy_and_the_others_go_on(tmp_path: Path) -> None:
    house = House(tmp_path, one="a.example\n", two="b.example\n")
    good = house.build().of("one")
    house.write("one", "com\n")
    house.write("two", "c.example\n")
    status = house.build()
    one = status.of("one")
    assert one is not None and good is not None
    assert "com" in one.error
    assert (one.part, one.entries, one.good_at) == (good.part, 1, good.good_at)
    assert status.missing == ()
    assert house.denied(["a.example", "b.example", "c.example", "x.com"]) == {
        "a.example": ["one:1"], "b.example": [], "c.example": ["two:1"], "x.com": []}
    house.write("one", "d.example\n")
    assert house.build().faults == ()
    assert house.denied(["d.example"]) == {"d.example": ["one:1"]}


def test_a_fault_of_a_reader_is_that_lists_alone(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(tmp_path, one="a.example\n", two="b.example\n")
    house.build()
    path = house.write("one", "c.example\n")
    house.write("two", "d.example\n")
    honest = part_store.ListReader.__iter__

    def faulty(reader: part_store.ListReader) -> Iterator[Entry]:
        for entry in honest(reader):
            if entry.value == "c.example":
                raise KeyError("oops")
            yield entry
    monkeypatch.setattr(part_store.ListReader, "__iter__", faulty)
    one, two = house.build().lists
    assert one.error == (f"{path}: reading it failed through a fault of this product (KeyError: "
                         "'oops'); please report it")
    assert two.error == ""
    assert house.denied(["a.example", "d.example"]) == {
        "a.example": ["one:1"], "d.example": ["two:1"]}


def test_a_list_that_never_was_good_is_missing(tmp_path: Path) -> None:
    house = House(tmp_path, one="com\n", two="b.example\n")
    status = house.build()
    assert status.missing == ("one",)
    assert house.denied(["b.example"]) == {"b.example": ["two:1"]}


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    house = House(tmp_path, one="a.example\n")
    house.build()
    (house.folder.path / "lists/one").unlink()
    one = house.one()
    assert one.error == f"{house.folder.path}/lists/one: it cannot be read: No such file or " \
                        "directory"
    assert house.denied(["a.example"]) == {"a.example": ["one:1"]}


def test_a_list_that_the_engine_refuses_steps_back_and_the_others_go_on(tmp_path: Path) -> None:
    house = House(tmp_path, two="b.example\n")
    house.write("one", "domain a.example\n", format="rules")
    house.build()
    house.write("one", "domain a.example\npattern (a\n", format="rules")
    house.write("two", "c.example\n")
    status = house.build()
    one = status.of("one")
    assert one is not None
    assert one.error.startswith('one:2: "(a": ')
    assert house.denied(["a.example", "c.example"]) == {
        "a.example": ["one:1"], "c.example": ["two:1"]}
    assert status.missing == ()


def test_without_a_part_to_step_back_to_it_is_missing(tmp_path: Path) -> None:
    house = House(tmp_path, two="b.example\n")
    house.write("one", "pattern (a\n", format="rules")
    assert house.build().missing == ("one",)
    assert house.denied(["b.example"]) == {"b.example": ["two:1"]}


@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_a_part_that_the_disk_spoiled_is_read_from_its_source_again(
        damage: str, tmp_path: Path) -> None:
    house = House(tmp_path, one="a.example\n", two="b.example\n")
    one = house.build().of("one")
    assert one is not None
    part = house.places.parts / one.part
    octets = bytearray(part.read_bytes())
    if damage == "cut":
        del octets[-3:]
    else:
        octets[len(octets) // 2] ^= 0xFF
    part.write_bytes(octets)
    house.write("two", "c.example\n")
    assert house.build().faults == ()
    assert house.denied(["a.example"]) == {"a.example": ["one:1"]}


def test_a_damaged_generation_is_compiled_again(tmp_path: Path) -> None:
    house = House(tmp_path, one="a.example\n")
    status = house.build()
    victim = max((house.places.generations / status.version).iterdir(),
                 key=lambda path: path.stat().st_size)
    victim.write_bytes(victim.read_bytes()[:-1])
    assert house.build().version == status.version
    assert house.denied(["a.example"]) == {"a.example": ["one:1"]}


def test_a_status_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    house = House(tmp_path, one="a.example\n")
    house.build()
    house.places.status.write_bytes(b"\x00nonsense")
    assert read_status(house.places.status) is None
    assert house.build().faults == ()


def test_a_million_identical_lines_are_one_entry_and_a_broken_list(tmp_path: Path) -> None:
    house = House(tmp_path, one="a.example\n")
    house.build()
    path = house.write("one", "b.example\n" * 1_000_000)
    one = house.one()
    assert one.error == (f"{path}: 1,000,000 entries and only 1 different ones; the list is broken "
                         "where it is published or was copied")
    assert (one.held_back, one.entries) == (False, 1)
    assert house.denied(["a.example", "b.example"]) == {"a.example": ["one:1"], "b.example": []}


# --- feeds ----------------------------------------------------------------------------------------

NOW = time.time()
TEN = "".join(f"host{number}.example\n" for number in range(10))
SHRUNK = "host1.example\n"


def test_a_feed_is_as_good_as_its_last_answer(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.feed("malware")
    house.downloaded("malware", TEN, NOW)
    malware = house.one()
    assert (malware.entries, malware.good_at, malware.next_check) == (10, NOW, NOW + 3600)
    assert malware.source == "https://lists.example/malware"
    assert house.denied(["host7.example"]) == {"host7.example": ["malware:8"]}


def test_a_feed_that_nobody_may_ask_for_is_missing_and_says_how_to_get_it(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.feed("malware")
    malware = house.one()
    assert malware.missing
    assert malware.error == (
        "https://lists.example/malware: it is due and was not fetched, because no evidence "
        "collector answers and nothing is sent without a record; start the proxy, or the "
        "external collector, and build again")


def test_a_copy_that_shrank_is_held_back_until_it_is_accepted(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.feed("malware")
    house.downloaded("malware", TEN, NOW - 10)
    house.build()
    house.downloaded("malware", SHRUNK, NOW)
    held = house.one()
    assert held.held_back
    assert held.error == (
        "https://lists.example/malware: it shrank to 1 entries from 10, which is less than "
        "min_percent, 50 %; look at it with `outbounds lists diff malware` and take it with "
        "`outbounds lists build --accept malware`")
    assert (held.entries, held.good_at) == (10, NOW - 10)
    assert house.denied(["host7.example"]) == {"host7.example": ["malware:8"]}
    assert house.one().held_back, "and again"
    taken = house.one(accept=("malware",))
    assert (taken.held_back, taken.error, taken.entries) == (False, "", 1)
    assert house.denied(["host7.example"]) == {"host7.example": []}
    assert house.one().error == "", "once is enough"


@pytest.mark.parametrize(("entries", "held"), [(5, False), (4, True)])
def test_the_share_that_is_held_back(entries: int, held: bool, tmp_path: Path) -> None:
    house = House(tmp_path)
    house.feed("malware")
    house.downloaded("malware", TEN, NOW)
    house.build()
    house.downloaded("malware", "".join(TEN.splitlines(keepends=True)[:entries]), NOW)
    assert house.one().held_back is held


def test_entries_that_repeat_do_not_hide_that_a_feed_shrank(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.feed("malware")
    house.downloaded("malware", TEN, NOW - 10)
    house.build()
    house.downloaded("malware", SHRUNK * 20, NOW)
    held = house.one()
    assert held.held_back
    assert "it shrank to 1 entries from 10" in held.error
    assert (held.entries, held.good_at) == (10, NOW - 10)
    assert house.one(accept=("malware",)).entries == 1


def test_an_empty_feed_is_held_back_even_the_first_time(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.feed("malware")
    house.downloaded("malware", "", NOW)
    malware = house.one()
    assert malware.missing
    assert malware.error.startswith("https://lists.example/malware: ")


def test_a_bad_copy_does_not_replace_the_good_one_even_if_the_parts_are_lost(
        tmp_path: Path) -> None:
    """The last good copy is kept as it was published: another version of the product may read it
    anew while the newest copy is bad."""
    house = House(tmp_path)
    house.feed("malware")
    house.downloaded("malware", TEN, NOW)
    house.build()
    house.downloaded("malware", "com\n", NOW)
    for path in house.places.parts.iterdir():
        path.unlink()
    malware = house.one()
    assert "com" in malware.error
    assert (malware.entries, malware.missing) == (10, False)
    assert house.denied(["host7.example"]) == {"host7.example": ["malware:8"]}


def test_copies_of_feeds_that_are_no_more_are_deleted(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.feed("malware")
    house.feed("other")
    house.downloaded("malware", TEN, NOW)
    house.downloaded("other", TEN, NOW)
    house.build()
    del house.sources["other"]
    house.build()
    assert [folder.name for folder in house.places.feeds.iterdir()] == ["malware"]


# --- crashes --------------------------------------------------------------------------------------


def killed_build(house: House, at: int) -> bool:
    """Build in a process that is killed as by kill -9 before the `at`-th time it asks the kernel
    to keep, rename or remove something; whether it was."""
    child = os.fork()
    if child == 0:
        left = at

        def deadly(call):  # type: ignore[no-untyped-def]
            def counted(*args, **options):  # type: ignore[no-untyped-def]
                nonlocal left
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*args, **options)
            return counted

        for name in ("replace", "rename", "fsync", "unlink", "rmdir"):
            setattr(os, name, deadly(getattr(os, name)))
        try:
            house.build()
        except BaseException:
            os._exit(1)
        os._exit(0)
    _, how = os.waitpid(child, 0)
    assert os.WIFSIGNALED(how) or os.WEXITSTATUS(how) == 0
    return os.WIFSIGNALED(how)


def test_killed_anywhere_a_build_leaves_old_or_new_and_the_next_one_is_good(
        tmp_path: Path) -> None:
    kills = 0
    for at in range(1, 100):
        house = House(tmp_path / str(at))
        house.feed("malware")
        house.write("two", "b.example\n")
        house.downloaded("malware", TEN, NOW)
        house.build()
        house.downloaded("malware", TEN + "more.example\n", NOW)
        if not killed_build(house, at):
            break
        kills += 1
        found = house.denied(["host7.example", "more.example"])
        assert found["host7.example"] == ["malware:8"]
        assert found["more.example"] in ([], ["malware:11"])
        status = house.build()
        assert status.faults == ()
        assert house.denied(["more.example"]) == {"more.example": ["malware:11"]}
        assert len(house.left()) == 6, "two generations, two parts and what is known about them"
        assert not list(house.places.root.rglob("*.new"))
    assert kills >= 10


def test_no_status_is_an_empty_one() -> None:
    assert Status().missing == ()
    assert read_status(Path("/nonexistent/status.json")) is None


@pytest.mark.parametrize(("only", "error"), [
    ({"adult"}, ""), ({"feed"}, ""),
    ({"adult", "adlut"}, "no entry carries the label adlut that `only` names, so nothing is denied "
                         "for it; its labels are adult, feed"),
])
def test_a_label_that_no_entry_carries_is_said(only: set[str], error: str, tmp_path: Path) -> None:
    house = House(tmp_path)
    house.write("rules", "pattern ^http://x labels=adult\n", "rules")
    house.sources["rules"] = dataclasses.replace(house.sources["rules"], terms=Terms(
        "rules", labels=("feed",), only=frozenset(only)))
    status = house.one()
    assert status.error.endswith(error) and bool(status.error) == bool(error)
    assert status.entries == 1
