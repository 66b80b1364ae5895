"""The TXT records of a name, asked for anew each time: whoever asks wants to know what stands there
now. Nothing of an answer can be relied on but that whoever runs the zone, or sits in between, has
said so.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import dns.rdatatype

from ..settings.service import Dns
from .found import Outcome
from .name_servers import NameServers
from .system_files import RESOLV_CONF


@dataclass(frozen=True, slots=True)
class Texts:
    """`texts` are the records, each the strings of one put together (RFC 1035 section 3.3.14; RFC
    7208 section 3.3); none where there are none, and then `detail` is a sentence that says why."""

    texts: tuple[bytes, ...]
    outcome: Outcome
    detail: str = ""


async def look_up_texts(settings: Dns, name: str, *, resolv_conf: Path = RESOLV_CONF) -> Texts:
    """The TXT records of `name`, a canonical one, within the time-out. Failures are findings.

    All together are no more than one message holds (`transport.MAX_MESSAGE`).
    """
    questions = await NameServers(settings, resolv_conf=resolv_conf).now()
    reply = await questions.ask(name, dns.rdatatype.TXT)
    if reply.outcome is Outcome.NO_ADDRESS:
        return Texts((), reply.outcome, f"{name} has no TXT record.")
    return Texts(tuple(b"".join(record.strings) for record in reply.records), reply.outcome,
                 reply.detail)
