"""Where the state of limits is kept, as a URL without secrets."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator


def _store_url(value: str) -> str:
    if value == "memory":
        return value
    fix = ("write memory, or a server such as valkey://127.0.0.1:6379/0 or rediss://host:6380")
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("valkey", "valkeys", "redis", "rediss") and parts.hostname
        if not usable or parts.port == 0 or parts.query or parts.fragment:
            raise ValueError
    except ValueError:
        raise ValueError(f"not a store; {fix}") from None
    if parts.password is not None:
        raise ValueError("holds a password, and this file may be shown to others; "
                         "put it into a file and name that as password_file")
    if parts.path not in ("", "/") and not parts.path.removeprefix("/").isdecimal():
        raise ValueError("names no database; the path is its number, such as /0")
    return value


StoreUrl = Annotated[str, AfterValidator(_store_url)]
