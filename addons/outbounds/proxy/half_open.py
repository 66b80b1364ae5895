"""Handshakes that have begun and are not done: SOCKS5's, TLS's, with clients and with targets.

A head of HTTP/1 has a clock of its own (http1_guard), and frames of HTTP/2 are looked at by
half_frames. What is here has neither: mitmproxy waits for the rest for as long as an octet comes
now and then. Whoever begins a handshake writes it down here, whoever ends it strikes it out, and
the sweep of `slow_clients` ends what has been here too long.
"""

from __future__ import annotations

import time

SOCKS, HELLO, TLS, TARGET_TLS = "SOCKS5 handshake", "ClientHello", "TLS handshake", "TLS"

_begun: dict[str, tuple[float, str]] = {}  # by connection id: since when (monotonic), and what


def begin(connection_id: str, what: str) -> None:
    """The same stage does not begin again, however often it is said."""
    known = _begun.get(connection_id)
    if known is None or known[1] != what:
        _begun[connection_id] = time.monotonic(), what


def end(connection_id: str) -> None:
    _begun.pop(connection_id, None)


def stage(connection_id: str, now: float, patience: float) -> str:
    """What has been going on for longer than `patience` seconds; "" if nothing has."""
    known = _begun.get(connection_id)
    return known[1] if known is not None and now - known[0] > patience else ""
