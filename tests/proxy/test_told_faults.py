"""What the log says of an exception: where, and never what a client sent."""

from __future__ import annotations

import pytest

from outbounds.proxy.told_faults import told


def fault(*messages: str) -> Exception:
    """An exception that came of the next, and so on."""
    try:
        if len(messages) > 1:
            raise RuntimeError(messages[0]) from fault(*messages[1:])
        raise ValueError(messages[0])
    except Exception as raised:
        return raised


@pytest.mark.parametrize("message", [
    "cannot parse 'HUSH'", 'cannot parse "HUSH"', "b'HUSH' is no line", "Basic HUSH0000",
    "http://u:HUSH@site.test/", "no such thing: /a?HUSH", "password=HUSH", "{'Cookie': 'HUSH'}"])
def test_what_was_sent_is_left_out(message: str) -> None:
    text = told(fault("outer", message))
    assert "HUSH" not in text
    assert text.count("test_told_faults.py") == 2
    outer, of, inner = map(text.index, ("RuntimeError: outer", "which came of", "ValueError: "))
    assert outer < of < inner


def test_a_long_chain_ends() -> None:
    assert told(fault(*(f"fault {number}" for number in range(50)))).count("RuntimeError: ") == 6
