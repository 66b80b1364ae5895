"""The table of hashes: what is in it is found, whatever the hashes are, and nothing else is."""

from __future__ import annotations

import tempfile
from array import array
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outbounds.lists.compiled.hashed import Table, Unsorted, files
from outbounds.lists.compiled.rows import rows_at

END = (1 << 64) - 1

# spread as hashes are; at both ends; and so close together that many want the same slot
keys = st.one_of(st.integers(0, END), st.integers(0, 20), st.integers(END - 20, END),
                 st.integers(1 << 63, (1 << 63) + 20))
contents = st.lists(st.tuples(keys, st.integers(0, 2), st.integers(1, 1 << 31)), max_size=200)


def table(folder: Path, found: list[tuple[int, int, int]]) -> tuple[Table, Counter[int]]:
    unsorted = Unsorted()
    for origin in range(3):
        its = sorted((line, key) for key, of, line in found if of == origin)
        unsorted.add([key for _, key in its], origin, [line for line, _ in its])
    done = Counter[str]()
    slots, counts = unsorted.write(folder, "t", lambda more: done.update(some=more))
    assert done["some"] == len(found)
    return Table(folder, "t", slots), counts


@settings(max_examples=150, deadline=None)
@given(contents, st.lists(keys, max_size=50))
def test_it_holds_the_first_line_of_each_origin_and_nothing_else(
        found: list[tuple[int, int, int]], others: list[int]) -> None:
    first: dict[tuple[int, int], int] = {}
    for key, origin, line in found:
        first[key, origin] = min(line, first.get((key, origin), line))
    with tempfile.TemporaryDirectory() as folder:
        made, counts = table(Path(folder), found)
        near = {key + step & END for key, _, _ in found for step in (-1, 0, 1)}
        for key in (*near, *others):
            place = made[key]
            rows = sorted(rows_at(place, made.more)) if place else []
            assert rows == [origin << 32 | first[key, origin] for origin in range(3)
                            if (key, origin) in first]
    assert counts == Counter(origin for _, origin in first)


def test_the_slots_left_over_are_a_quarter(tmp_path: Path) -> None:
    # hashes that are spread evenly: more room would be memory wasted, less would be long searches
    made = [number * 0x9E3779B97F4A7C15 & END for number in range(1, 30_001)]
    table(tmp_path, [(key, 0, 1) for key in made])
    octets = (tmp_path / files("t")[0]).stat().st_size
    assert octets == pytest.approx(16 * 40_000, rel=0.01)


@pytest.mark.parametrize("content", [
    (), (END,), (END, 0), (1, 1, 2, 2, 3, 3), (1, 1, 2, 2, END, 0, 7)])
def test_what_is_no_table_of_so_many_slots(tmp_path: Path, content: tuple[int, ...]) -> None:
    table_file, more = (tmp_path / name for name in files("t"))
    table_file.write_bytes(array("Q", content).tobytes())
    more.write_bytes(b"")
    with pytest.raises(ValueError, match="t: no table of 2 slots"):
        Table(tmp_path, "t", 2)
    with pytest.raises(ValueError, match="t: no table of 0 slots"):
        Table(tmp_path, "t", 0)
