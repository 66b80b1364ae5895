"""The collector: the process that owns the evidence log.

    python -m outbounds.evidence.collector --dir DIR --socket PATH [--parent-fd FD]

It is a process of its own, so that a crash, a kill or a hijack of the proxy cannot take back a
line that was acknowledged. One thread, no asyncio: it starts in a few hundredths of a second, and
a blocking fdatasync is what gathers the next group.

Group commit: each turn takes everything that all clients have sent, writes it once, syncs once,
then acknowledges to each. What a crash leaves behind at each step:

    before the write        nothing; the clients still hold their lines and send them again
    within the write        a torn tail, cut off at the next start
    write to sync           whole lines that nobody was told of; kept, and repetitions are dropped
    sync to acknowledgement the same
    after                   acknowledged, and on disk

Every opening gets its closing. When a client's connection ends, what it left open is closed with
outcome "unknown"; a living client never disconnects. After a restart, sessions with open records
get `--grace` seconds to come back first (they reconnect within one). With `--parent-fd` the
collector leaves when that pipe ends and its last client is gone.

Sealing, witnesses, copies and retention are the keeper's (`keeper`), a process that this one starts
now and then and does not wait for.
"""

from __future__ import annotations

import os
import signal
import sys

from .archive.reading import Damaged
from .archive.seal import BadSeal
from .keeper.spawn import KeeperSpawner
from .listener import SocketTaken, listen
from .log import EvidenceLog, say
from .options import parse
from .segment import DirectoryTaken, lock, segments
from .state import Watch
from .tlog.growth import HistoryDiffers
from .tlog.keys import KeyUnusable
from .tlog.tiles import BadTile
from .turns import Collector


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    os.umask(0o077)
    try:
        held = lock(options.dir, options.wait)
        evidence = EvidenceLog(options.dir, options.segment_size, options.name,
                               options.key_valid)
        listener = listen(options.socket, open_to_others=bool(options.allow_uid))
    except (DirectoryTaken, SocketTaken, KeyUnusable, HistoryDiffers, Damaged, BadSeal, BadTile,
            OSError, ValueError) as error:
        say(str(error))
        sys.exit(1)
    keeper = KeeperSpawner(options.dir, options.config, after=options.keep_after,
                           every=options.keep_every, say=say,
                           pending=len(segments(options.dir)) > 1)
    allowed = frozenset({0, os.geteuid(), *options.allow_uid})
    collector = Collector(evidence, listener, allowed=allowed, grace=options.grace,
                          parent=options.parent_fd, watch=Watch(options.dir, options.reserve),
                          keeper=keeper)
    signal.signal(signal.SIGTERM, collector.stop)
    signal.signal(signal.SIGINT, collector.stop)
    collector.run()
    evidence.close()
    # the lock goes last, with the process: whoever waits for it may then bind the socket
    options.socket.unlink(missing_ok=True)
    os.close(held)


if __name__ == "__main__":
    main()
