"""What may stand in an account: names, networks, crawler tokens, purposes, dates of consent.

Checked where an account is made, so that a request never meets a field it cannot use. A name is
what a customer types before the first colon (RFC 7617 section 2), so it cannot hold one; control
characters are refused by the same section.
"""

from __future__ import annotations

import datetime
import ipaddress
import re
from collections.abc import Iterable

from outbounds.core.robots_terms import PURPOSES

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_NAME = 128  # characters; attempts are remembered by name, so its length bounds their memory
_NAME = re.compile(rf"[^\s:\x00-\x1f\x7f-\x9f\ud800-\udfff]{{1,{MAX_NAME}}}")
_PLAN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
# RFC 9309 section 2.2.1 has no digits. Real crawlers do (MJ12bot), sites name them in full, and
# robots.txt files are read so: a token that could not be declared would bind nobody.
_CRAWLER = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FURTHEST_EAST = datetime.timedelta(hours=14)  # "today" may already be tomorrow for the customer


class AccountError(ValueError):
    """An account cannot be made or changed like this. The message names the value and the fix."""


def is_name(name: str) -> bool:
    """Could an account have this name? False costs no look-up and says nothing about accounts."""
    return _NAME.fullmatch(name) is not None


def check_name(name: str) -> str:
    if not is_name(name):
        raise AccountError(
            f"name {name!r}: use 1 to {MAX_NAME} characters without spaces, colons or control "
            "characters")
    return name


def check_plan(plan: str) -> str:
    if not _PLAN.fullmatch(plan):
        raise AccountError(f"plan {plan!r}: use letters, digits, '-' and '_'")
    return plan


def check_crawler(token: str) -> str:
    """A product token as robots.txt files name it (RFC 9309 section 2.2.1), or ""."""
    if token and not _CRAWLER.fullmatch(token):
        raise AccountError(
            f"crawler {token!r}: a product token has letters, digits, '-' and '_' only, no "
            "version (RFC 9309), such as ExampleBot")
    return token


def check_purposes(purposes: Iterable[str]) -> tuple[str, ...]:
    """What the account declares to use what it fetches for (`PURPOSES`), in their order."""
    declared = set(purposes)
    for purpose in sorted(declared.difference(PURPOSES)):
        raise AccountError(f"purpose {purpose!r}: use {', '.join(PURPOSES)}")
    return tuple(each for each in PURPOSES if each in declared)


def check_consent(inspect: bool, consent: str, now: float) -> str:
    """The date (YYYY-MM-DD) on which the customer agreed to inspection; "" where none is needed.

    `now` is Unix time. Opening somebody's TLS without a recorded agreement is interception, so
    `inspect` without a date is an error, and so is a date that has not come yet.
    """
    if not consent:
        if inspect:
            raise AccountError(
                "inspect needs the date on which the customer agreed to it: "
                "give consent as YYYY-MM-DD")
        return ""
    try:
        date = datetime.date.fromisoformat(consent)
    except ValueError:
        raise AccountError(f"consent {consent!r}: write the date as YYYY-MM-DD") from None
    latest = datetime.datetime.fromtimestamp(now, datetime.UTC) + _FURTHEST_EAST
    if date > latest.date():
        raise AccountError(f"consent {consent!r} lies in the future: give the day it was given")
    return date.isoformat()


def check_networks(networks: Iterable[str]) -> tuple[str, ...]:
    """Canonical CIDR forms, without repeats, in the order given."""
    return tuple(dict.fromkeys(str(_network(text)) for text in networks))


def _network(text: str) -> Network:
    try:
        network = ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        raise AccountError(
            f"network {text!r}: write an address or CIDR such as 192.0.2.0/24") from None
    if "/" in text and str(network.network_address) != _address_part(text):
        raise AccountError(f"network {text!r} has host bits set: did you mean {network}?")
    if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped:
        # sources are compared as IPv4, so this would never match
        raise AccountError(f"network {text!r}: write it as IPv4, without ::ffff:")
    if network.prefixlen == 0:
        raise AccountError(
            f"network {text!r} is the whole Internet, which would identify everybody as this "
            "account: leave it out")
    return network


def _address_part(text: str) -> str:
    return str(ipaddress.ip_address(text.strip().partition("/")[0]))


def source_address(ip: str) -> Address | None:
    """The client's address; IPv4-mapped IPv6 as the IPv4 it is; None where there is none.

    A dual-stack listener reports 192.0.2.7 as ::ffff:192.0.2.7: without the mapping the same
    customer would have two addresses, and no network would match the second.
    """
    try:
        address = ipaddress.ip_address(ip.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
