"""What a target's reply says about its own use, for the closing record.

X-Robots-Tag (developers.google.com/search, "robots meta tag") and Content-Usage (the IETF's aipref
drafts). Nothing follows from them here: they come when the request has been let through.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..evidence.fields import FIELDS

_ATTRIBUTES = {b"x-robots-tag": "robots_tag", b"content-usage": "robots_content_usage"}


def robots_fields(fields: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Attributes of a `Record` from the fields of a reply: all values of each, in their order,
    joined as RFC 9110 section 5.3 joins them, up to what a record holds."""
    found: dict[str, str] = {}
    for name, value in fields:
        attribute = _ATTRIBUTES.get(name.lower())
        if attribute is None:
            continue
        known = found.get(attribute, "")
        # one octet more than is kept, so that the record says that there was more
        room = FIELDS[attribute][1] + 1 - len(known)
        if room > 0:
            # octets that are no UTF-8 are kept, and written down as percent-encoded
            text = value[:room].decode("utf-8", "surrogateescape")
            found[attribute] = f"{known}, {text}" if known else text
    return found
