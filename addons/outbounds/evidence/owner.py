"""Files of the log belong to whoever runs the collector, whoever runs a command."""

from __future__ import annotations

import os
from pathlib import Path


def become_owner(directory: Path) -> None:
    """If this process is root's and `directory` is another's, be that one from now on: files that
    root made here could not be read by the collector, which would stop. Raises OSError."""
    owner = directory.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.setgroups([])
        os.setgid(owner.st_gid)
        os.setuid(owner.st_uid)
