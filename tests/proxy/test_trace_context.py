"""W3C Trace Context, section 3.2: which `traceparent` is one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbounds.proxy.trace_context import trace_context

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize("value", [
    f"00-{TRACE}-{PARENT}-01",       # 3.2.3, the example
    f"00-{TRACE}-{PARENT}-00",
    f"00-{TRACE}-{PARENT}-ff",       # 3.2.2.5: other flags may be set
    f"01-{TRACE}-{PARENT}-01",       # 3.2.2.1: a later version
    f"cc-{TRACE}-{PARENT}-01-what-the-future-will-be-like",
])
def test_valid(value: str) -> None:
    assert trace_context([value]) == {"trace_id": TRACE, "parent_id": PARENT}


@pytest.mark.parametrize("value", [
    "", "00", f"00-{TRACE}-{PARENT}", f"00-{TRACE}-{PARENT}-", f"00-{TRACE}-{PARENT}-1",
    f"ff-{TRACE}-{PARENT}-01",                       # 3.2.2.1: version ff is forbidden
    f"00-{TRACE}-{PARENT}-01-more",                  # 3.2.2.2: version 00 ends with its flags
    f"cc-{TRACE}-{PARENT}-01.more",
    f"00-{'0' * 32}-{PARENT}-01",                    # 3.2.2.3: all zeroes
    f"00-{TRACE}-{'0' * 16}-01",                     # 3.2.2.4
    f"00-{TRACE.upper()}-{PARENT}-01",               # lower case only
    f"00-{TRACE}-{PARENT.upper()}-01",
    f"0-{TRACE}-{PARENT}-01", f"000-{TRACE}-{PARENT}-01", f"0x-{TRACE}-{PARENT}-01",
    f"00-{TRACE[:-1]}-{PARENT}-01", f"00-{TRACE}0-{PARENT}-01", f"00-{TRACE}-{PARENT}0-01",
    f"00_{TRACE}_{PARENT}_01", f" 00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-01\n",
    f"00-{TRACE[:-1]}g-{PARENT}-01", "00-" + "４" * 32 + f"-{PARENT}-01",
    f"00-{TRACE}-{PARENT}-01, 00-{TRACE}-{PARENT}-01",
])
def test_malformed_is_as_good_as_none(value: str) -> None:
    assert trace_context([value]) == {}


def test_none_and_two() -> None:
    assert trace_context([]) == {}
    assert trace_context([f"00-{TRACE}-{PARENT}-01"] * 2) == {}


@given(st.lists(st.text(), max_size=3))
def test_any_text(values: list[str]) -> None:
    assert set(trace_context(values)) in (set(), {"trace_id", "parent_id"})
