"""Who types a command: for the record of what they have done."""

from __future__ import annotations

import os

from ..proxy.control_socket import user_name


def operator() -> str:
    """The user's name. Of somebody who became root for it, both names."""
    name, before = user_name(os.getuid()), os.environ.get("SUDO_USER", "")
    return f"{name} ({before})" if os.getuid() == 0 and before.isprintable() and before else name
