"""Every format by the name that destinations.yaml has for it (`settings.rules.FormatName`)."""

from __future__ import annotations

from collections.abc import Mapping

from .adblock import ADBLOCK
from .lines import Format
from .names import DNSMASQ, DOMAINS, DSTDOMAIN, HOSTS, WILDCARD
from .networks import DROP_JSON, DROP_TEXT, NETSET, RANGES
from .rpz import RPZ
from .rules import RULES
from .urls import PHISHTANK_CSV, URLHAUS_CSV, URLS
from .ut1 import UT1

FORMATS: Mapping[str, Format] = {
    "rules": RULES,
    "domains": DOMAINS,
    "wildcard": WILDCARD,
    "hosts": HOSTS,
    "adblock": ADBLOCK,
    "dnsmasq": DNSMASQ,
    "rpz": RPZ,
    "dstdomain": DSTDOMAIN,
    "urls": URLS,
    "urlhaus-csv": URLHAUS_CSV,
    "phishtank-csv": PHISHTANK_CSV,
    "drop-text": DROP_TEXT,
    "drop-json": DROP_JSON,
    "netset": NETSET,
    "ranges": RANGES,
    "ut1": UT1,
}
