"""The keys of a table, made of a limit's id and whose state it is; and read back again.

An id holds no line feed, so the first one ends it: no owner's name can be written so that it
becomes another limit's. A visit to a host begins with one, which no id does, and says how long the
owner's name is, since nothing else would say where that ends and the host's begins.
"""

from __future__ import annotations

from ..core.limits import Charge


def state_of(charge: Charge) -> str:
    return f"{charge.limit.id}\n{charge.key}"


def mark_of(charge: Charge) -> str:
    return f"\n{len(charge.key)}\n{charge.limit.id}\n{charge.key}\n{charge.member}"


def parts(key: str) -> tuple[str, str, bool]:
    """(limit's id, whose state it is, whether it is the memory of a visit)."""
    if not key.startswith("\n"):
        limit_id, _, whose = key.partition("\n")
        return limit_id, whose, False
    # a key of which only the beginning is kept may end before the last of these
    _, size, limit_id, rest, *_ = (*key.split("\n", 3), "", "")
    return limit_id, rest[:int(size)], True


def is_of(whose: str, owner: str) -> bool:
    """Whether state belongs to `owner`: its own, or its own towards some target."""
    return whose.startswith(owner) and whose[len(owner):len(owner) + 1] in ("", " ")
