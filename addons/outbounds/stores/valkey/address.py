"""Where the server is, how to reach it, and who we are there. A secret is read when it is needed
and shown nowhere."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

PORT = 6379


@dataclass(frozen=True, slots=True)
class Address:
    """`user` is "" for the server's default user; its password is the first line of
    `password_file`, read anew at each connection so that it can be changed without a restart."""

    host: str
    port: int
    database: int
    user: str
    tls: bool
    password_file: Path | None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'valkeys' if self.tls else 'valkey'}://{host}:{self.port}/{self.database}"

    def password(self) -> str:
        """Raises OSError, ValueError (not text in UTF-8)."""
        if self.password_file is None:
            return ""
        return self.password_file.read_text("utf-8").partition("\n")[0].rstrip("\r")

    def context(self) -> ssl.SSLContext | None:
        """The server's certificate is checked against the system's authorities, and its name."""
        return ssl.create_default_context() if self.tls else None


def address_of(url: str, password_file: Path | None) -> Address:
    """From a URL that the settings have checked (`settings.fields.StoreUrl`)."""
    parts = urlsplit(url)
    return Address(parts.hostname or "", parts.port or PORT, int(parts.path.strip("/") or 0),
                   unquote(parts.username or ""), parts.scheme in ("valkeys", "rediss"),
                   password_file)
