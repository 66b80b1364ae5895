"""The object store's credentials: a file of two lines that nobody else may read."""

from __future__ import annotations

import os
from pathlib import Path


class BadCredentials(Exception):
    """The file cannot be used. The message names it and the fix, and nothing of what is in it."""


def read_credentials(path: Path) -> tuple[str, str]:
    """(access key, secret key). Raises BadCredentials."""
    try:
        with path.open("rb") as file:
            # of the open file: another one of that name may be there a moment later
            status = os.fstat(file.fileno())
            octets = file.read(4096)
    except OSError as error:
        raise BadCredentials(f"{path}: {error.strerror}") from None
    if status.st_mode & 0o077:
        raise BadCredentials(f"{path}: others may read it (mode {status.st_mode & 0o777:04o}); "
                             f"chmod 600 {path}, and replace the keys if somebody did")
    lines = [line.strip() for line in octets.decode("utf-8", "replace").splitlines()]
    lines = [line for line in lines if line]
    if len(lines) != 2 or not all(line.isprintable() and " " not in line for line in lines):
        raise BadCredentials(f"{path}: two lines were expected, the access key and the secret key")
    return lines[0], lines[1]
