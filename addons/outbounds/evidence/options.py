"""The collector's arguments: what it understands, and what the proxy gives it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from .segment import MAX_BYTES
from .tlog.keys import VALID

if TYPE_CHECKING:  # the collector itself loads no configuration: it starts in no time
    from ..settings import Settings

IDLE = 3600.0  # s between two passes of a keeper that nobody waits for


def words(settings: Settings) -> list[str]:
    """The options of a collector that a proxy with `settings` starts, besides where it writes."""
    evidence = settings.evidence
    found = ["--segment-size", str(evidence.segment_size), "--name", evidence.name,
             "--key-valid", f"{evidence.key_valid:.0f}", "--reserve", str(evidence.reserve),
             "--config", str(settings.folder.absolute())]
    # a service that nobody uses has nothing to seal, and still something whose time is over
    asked = evidence.witnesses or evidence.store is not None
    return [*found, "--keep-every", f"{evidence.witness_every if asked else IDLE:.0f}"]


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m outbounds.evidence.collector",
                                     description="Owns the evidence log.")
    parser.add_argument("--dir", type=Path, required=True, help="directory of the log")
    parser.add_argument("--socket", type=Path, required=True, help="Unix socket to listen on")
    parser.add_argument("--segment-size", type=int, default=MAX_BYTES,
                        help="bytes after which a new segment begins, besides every hour")
    parser.add_argument("--reserve", type=int, default=0,
                        help="free bytes on the disk below which proxies let nothing through")
    parser.add_argument("--name", default="outbounds",
                        help="for a new log: what its origin begins with, such as a domain")
    parser.add_argument("--key-valid", type=float, default=VALID,
                        help="seconds that a signing key is in force")
    parser.add_argument("--config", type=Path,
                        help="folder of the configuration, for the keeper (without: it only seals)")
    parser.add_argument("--keep-every", type=float, default=0.0,
                        help="seconds between two passes of the keeper; 0: when a segment is full")
    parser.add_argument("--keep-after", type=float, default=10.0,
                        help="seconds from when there is something to seal to the keeper's pass")
    parser.add_argument("--parent-fd", type=int, help="leave when this pipe ends")
    parser.add_argument("--allow-uid", type=int, action="append", default=[],
                        help="user id that may send records, besides root and our own")
    parser.add_argument("--grace", type=float, default=5.0,
                        help="seconds for sessions to come back after a restart")
    parser.add_argument("--wait", type=float, default=10.0,
                        help="seconds for another collector to leave the directory")
    return parser.parse_args(arguments)
