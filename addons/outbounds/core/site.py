"""The site of a host: its registrable domain, the unit that one owner answers for.

From the public suffix list (publicsuffix.org), both of its sections: `alice.github.io` and
`bob.github.io` are two people's, so a limit per site must not count them together.
"""

from __future__ import annotations

from functools import lru_cache

from publicsuffixlist import PublicSuffixList

from .destination import Host

# a table that comes with the package, read once like any module; a name under no rule has the
# rule `*` (publicsuffix.org/list, "Algorithm")
_SUFFIXES = PublicSuffixList()


def site_of(host: Host) -> str:
    """The registrable domain of a canonical host. An address, and a name that is a public suffix
    itself, is its own site."""
    return host.text if host.address is not None else _registrable(host.text)


def is_public_suffix(host: Host) -> bool:
    """Whether what lies below a canonical host is other people's: `com`, `co.uk`, `github.io`, and
    `example` where no rule names it."""
    return host.address is None and _is_suffix(host.text)


@lru_cache(maxsize=65_536)
def _is_suffix(name: str) -> bool:
    return _SUFFIXES.privatesuffix(name) is None


@lru_cache(maxsize=65_536)
def _registrable(name: str) -> str:
    return str(_SUFFIXES.privatesuffix(name) or name)
