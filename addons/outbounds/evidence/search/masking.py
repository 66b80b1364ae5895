"""Records without who it was: what a search shows to whoever has no case.

What is taken out: the account (its pseudonym stands there), the address and port it came from, and
texts of the operator's own that may name it. Hosts and paths stay, or nothing could be searched
for; they may tell more than an account's name does, so this is no anonymity.
"""

from __future__ import annotations

from collections.abc import Callable

from .event import Fields
from .part import Summary

_GONE = ("source.ip", "source.port", "outbounds.scope")
_QUOTING = ("event.reason", "outbounds.observed", "outbounds.exception")


def masked(fields: Fields, account: str, name: Callable[[str], str]) -> Fields:
    """A record's fields as they may be shown; `account` is its event's, `name` gives pseudonyms."""
    found = {key: value for key, value in fields.items() if key not in _GONE}
    if "user.id" in found:
        found["user.id"] = name(str(found["user.id"]))
    for key in _QUOTING:
        if account and account in str(found.get(key, "")):
            found[key] = str(found[key]).replace(account, name(account))
    return found


def masked_summary(summary: Summary, name: Callable[[str], str]) -> Summary:
    return summary._replace(account=name(summary.account), source_ip="", source_port=0)
