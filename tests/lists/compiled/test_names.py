"""Names that are known by their hash: which parents are asked for, collisions, and the seed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from outbounds.core.destination import parse_host
from outbounds.core.hit import Terms
from outbounds.core.list_entry import Entry, Kind
from outbounds.lists.compiled import BadGeneration, Generation, compile_lists, names, write_part
from outbounds.lists.compiled.manifest import read


def compiled(folder: Path, *entries: tuple[Kind, str]) -> Path:
    write_part(folder / "t", (Entry(kind, name, line)
                              for line, (kind, name) in enumerate(entries, 1)))
    return compile_lists({"t": folder / "t"}, folder / "generations")


def lines(generation: Path, host: str) -> list[int]:
    found = Generation.open(generation, {"t": Terms("t")})
    return sorted(hit.line for hit in found.match(parse_host(host), 443, "https", "/"))


FEWEST = [
    # (entries, the fewest labels of a name with something about what is below it)
    ([(Kind.HOST, "a.example"), (Kind.HOST, "localhost")], 128),
    ([(Kind.HOST, "localhost"), (Kind.DOMAIN, "b.a.example")], 3),
    ([(Kind.DOMAIN, "b.a.example"), (Kind.BELOW, "a.example")], 2),
    ([(Kind.DOMAIN, "example"), (Kind.DOMAIN, "a.example")], 1),
    ([], 128),
]


@pytest.mark.parametrize(("entries", "fewest"), FEWEST)
def test_no_shorter_parent_is_looked_up_than_there_is(
        tmp_path: Path, entries: list[tuple[Kind, str]], fewest: int) -> None:
    folder = compiled(tmp_path, *entries)
    assert read(folder, names.FILES).names.fewest_labels == fewest
    for line, (kind, name) in enumerate(entries, 1):
        assert (line in lines(folder, name)) == (kind is not Kind.BELOW)
        assert (line in lines(folder, f"d.c.{name}")) == (kind is not Kind.HOST)


def test_names_with_the_same_hash_are_all_denied(tmp_path: Path,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "xxh3_64_intdigest", lambda name, seed: len(name))
    folder = compiled(tmp_path, (Kind.DOMAIN, "one.example"), (Kind.DOMAIN, "two.example"),
                      (Kind.HOST, "six.example"))
    for name in ("one.example", "two.example", "six.example"):
        assert lines(folder, name) == [1, 3]  # cited by the line of the first of its kind
    assert lines(folder, "www.two.example") == [1]
    assert lines(folder, "three.example") == []


def test_each_generation_has_a_seed_of_its_own(tmp_path: Path) -> None:
    # who knows the seed can make names that collide with others
    seeds = set()
    for _ in range(3):
        folder = compiled(tmp_path, (Kind.DOMAIN, "a.example"))
        seeds.add(read(folder, names.FILES).names.seed)
        assert lines(folder, "www.a.example") == [1]
        shutil.rmtree(folder)
    assert len(seeds) == 3


def test_a_generation_that_is_replaced_while_it_is_opened_is_not_used(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # its names would be looked up by the seed of the one before, and none would be found
    folder = compiled(tmp_path, (Kind.DOMAIN, "a.example"))

    class Replaced(names.Names):
        def __init__(self, *arguments: object) -> None:
            shutil.rmtree(folder)
            assert compiled(tmp_path, (Kind.DOMAIN, "a.example")) == folder
            super().__init__(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(names, "Names", Replaced)
        with pytest.raises(BadGeneration, match="it was replaced while it was being opened"):
            Generation.open(folder, {"t": Terms("t")})
    assert lines(folder, "a.example") == [1]
