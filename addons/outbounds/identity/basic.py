"""Basic credentials as a client sends them (RFC 7617).

The challenge says charset="UTF-8" (section 2.1), which browsers and curl follow; but requests,
aiohttp and urllib3 encode Latin-1 unasked, so bytes that are not UTF-8 are read as that. A
Latin-1 password whose bytes happen to be valid UTF-8 is read as UTF-8; such a customer sends
UTF-8 or picks another password.

None means "not Basic credentials", and is not the same as "no header": a client that tried and
failed must not fall back on its source network. A caller that finds None for a header that is
there passes `MALFORMED` on, which never identifies anybody.
"""

from __future__ import annotations

import base64
import re

from outbounds.core.request import Credentials

MAX_HEADER = 2048  # characters; longer than any name and password that an account can have
MALFORMED = Credentials("", "")

# RFC 9110 section 11.4: the scheme is case-insensitive, then one or more spaces (no tabs)
_HEADER = re.compile(r"[Bb][Aa][Ss][Ii][Cc] +([A-Za-z0-9+/]+={0,2}) *")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # all of Unicode's category Cc


def parse_basic(header: str) -> Credentials | None:
    """The credentials in a Proxy-Authorization value, split at the first colon; None if malformed.

    Refused: any other scheme, lax base64, a missing colon, control characters (section 2), and
    more than `MAX_HEADER` characters.
    """
    if len(header) > MAX_HEADER:
        return None
    match = _HEADER.fullmatch(header)
    if match is None:
        return None
    try:
        raw = base64.b64decode(match[1], validate=True)
    except ValueError:
        return None
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    name, colon, password = text.partition(":")
    if not colon or _CONTROL.search(text):
        return None
    return Credentials(name, password)
