"""Room for as many connections as the configuration allows.

A process that runs out of file descriptors cannot accept, dial or record. The soft limit is often
1024, for programs that use select(); asyncio does not.
"""

from __future__ import annotations

import logging
import resource

logger = logging.getLogger("outbounds")

BESIDE = 500  # for everything that is not a client's or a target's connection


def make_room(connections: int) -> None:
    """Raise the soft limit to the hard one. Warns where even that is too low for so many clients
    (a client under way takes a second descriptor, for its target)."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if most != resource.RLIM_INFINITY and most < connections + BESIDE:
        logger.warning("This process may open %d files, too few for the %d connections that "
                       "outbounds.yaml allows (clients.connections.total): raise the limit "
                       "(LimitNOFILE= of systemd, ulimit -n) or lower the total.",
                       most, connections)
