"""Public suffixes under which anybody can register: no list means to deny all of one.

The ICANN section of the public suffix list only. Names of the private section (github.io, and the
like) belong to one company each, and a list may well mean all of it.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import publicsuffixlist


@lru_cache(maxsize=1)
def _rules() -> publicsuffixlist.PublicSuffixList:
    return publicsuffixlist.PublicSuffixList(accept_unknown=False, only_icann=True)


def is_public_suffix(name: str) -> bool:
    """Whether a canonical name is a suffix that a registry sells names under."""
    return bool(_rules().publicsuffix(name) == name)


def is_named_so(suffix: str) -> bool:
    """Whether a public suffix is in the list by its own name, not by a wildcard (`*.np`), which
    makes a suffix of whatever stands there."""
    return suffix.partition(".")[2] not in suspects()[1]


@lru_cache(maxsize=1)
def suspects() -> tuple[frozenset[str], frozenset[str]]:
    """(names, parents): an ASCII name that is not in the first, and whose parent is not in the
    second, is no public suffix. For a look at thousands of names at once; `is_public_suffix` says
    which of them really are. From the list's own file (publicsuffix.org/list, "Format")."""
    names: set[str] = set()
    parents: set[str] = set()
    text = Path(publicsuffixlist.PSLFILE).read_text("utf-8")
    for line in text.partition("===END ICANN DOMAINS===")[0].splitlines():
        rule = line.strip()
        if rule.startswith("*."):
            parents.add(rule[2:])
        elif rule and not rule.startswith(("//", "!")):
            names.add(rule)
    return frozenset(names), frozenset(parents)
