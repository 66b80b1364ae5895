"""The certificate authority for inspected sites: where it is kept, and that there is only one.

mitmproxy makes it where it finds none. Two processes that start together for the first time would
each make one, and what clients were told to trust would be the one that lost.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def ca_folder(data: Path) -> Path:
    """Below the run data; mitmproxy names the files."""
    return data / "ca"


@contextmanager
def one_maker(folder: Path) -> Iterator[None]:
    """Hold this while mitmproxy reads its authority or makes it. Raises OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # the kernel gives it back however we end
        yield
