"""A file in UTF-8, whatever it was written in: RFC 9309 section 2.3 wants UTF-8, and rules are
compared with paths octet by octet, so that "/größe" in another encoding would match no path.

What is UTF-8 is left alone whatever the field Content-Type says: servers call everything
ISO-8859-1, and a text in such an encoding that happens to be valid UTF-8 hardly exists. What is
said is believed only where it fits to the last octet; otherwise the file is taken as it is, octets
and all. The names are those of the WHATWG Encoding Standard, a table of our own because looking
one up in `codecs` keeps every name that it was ever asked for.
"""

from __future__ import annotations

import codecs

from outbounds.core.robots_parse import SIZE_LIMIT, whole_lines

_CODECS = {
    **{f"iso-8859-{n}": f"iso8859-{n}" for n in (2, 3, 4, 5, 6, 7, 8, 10, 13, 14, 15, 16)},
    **{f"windows-125{n}": f"cp125{n}" for n in range(9)},
    # as browsers do, which is what their writers saw
    "iso-8859-1": "cp1252", "latin1": "cp1252", "us-ascii": "cp1252", "ascii": "cp1252",
    "iso-8859-9": "cp1254", "tis-620": "cp874", "windows-874": "cp874",
    "koi8-r": "koi8-r", "koi8-u": "koi8-u", "macintosh": "mac-roman",
    "gb2312": "gb18030", "gbk": "gb18030", "gb18030": "gb18030", "big5": "big5hkscs",
    "euc-jp": "euc-jp", "shift_jis": "cp932", "euc-kr": "cp949",
    "utf-16": "utf-16-le", "utf-16le": "utf-16-le", "utf-16be": "utf-16-be",
}
_MARKS = ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


def in_utf8(body: bytes, charset: str) -> bytes:
    """The file as it is parsed: in UTF-8, and no more of it than whole lines in 500 KiB.

    `body` is at most 500 KiB and one octet; `charset` as Content-Type has it, "" if it does not.
    """
    codec = _CODECS.get(charset.strip().lower(), "")
    for mark, marked in _MARKS:
        if body.startswith(mark):
            body, codec = body[len(mark):], marked
    if codec.startswith("utf-16"):
        return whole_lines(_from_utf16(body, codec))
    body = whole_lines(body)
    if codec:
        try:
            body.decode()
        except UnicodeDecodeError:
            return whole_lines(_transcoded(body, codec))
    return body


def _from_utf16(body: bytes, codec: str) -> bytes:
    """A line is cut at the end where the file is longer than was read, before anybody can take
    the last octet for a character."""
    text = body[: SIZE_LIMIT // 2 * 2].decode(codec, "replace")
    if len(body) > SIZE_LIMIT - 2:
        text = text[: max(text.rfind("\n"), text.rfind("\r")) + 1]
    return text.encode("utf-8", "replace")


def _transcoded(body: bytes, codec: str) -> bytes:
    try:
        return body.decode(codec).encode()
    except UnicodeError:
        return body
