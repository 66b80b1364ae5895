"""Which of mitmproxy's modes the enforcement covers."""

from __future__ import annotations

from collections.abc import Iterable

from mitmproxy.proxy.mode_specs import ProxyMode

JUDGED_MODES = ("regular", "socks5")


def unjudged_mode(modes: Iterable[str]) -> str:
    """The first specification whose traffic no hook of ours would see as requests; "" if none."""
    return next((mode for mode in modes if ProxyMode.parse(mode).type_name not in JUDGED_MODES), "")
