"""Space-Saving: what its paper promises, for any stream (Metwally et al. 2005, lemmas 3 to 5)."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from outbounds.core.heavy_hitters import HeavyHitters


@given(st.lists(st.sampled_from("abcdefghij"), max_size=300), st.integers(1, 6))
def test_no_count_is_too_small_nor_too_large_by_more_than_its_share(
        stream: list[str], room: int) -> None:
    hitters, truth = HeavyHitters(room), Counter(stream)
    for name in stream:
        hitters.count(name).refused += 1
    found = dict(hitters)
    assert len(found) <= room
    assert sum(each.events for each in found.values()) == len(stream)
    for name, each in found.items():
        assert truth[name] <= each.events <= truth[name] + each.error
        assert each.refused <= truth[name]
        assert each.error <= len(stream) / room
    for name, events in truth.items():
        assert name in found or events <= len(stream) / room


def test_names_that_fit_are_counted_exactly() -> None:
    hitters = HeavyHitters(3)
    for name in "abcabca":
        hitters.count(name)
    assert {name: (each.events, each.error) for name, each in hitters} == {
        "a": (3, 0), "b": (2, 0), "c": (2, 0)}
