"""What goes to standard error, and how a line of it looks."""

from __future__ import annotations

import logging
import sys

from .workers import Place


def set_up_logging(verbose: bool, place: Place | None = None) -> None:
    """Our own lines on standard error, with the worker's number where there are several; of
    mitmproxy only what is wrong.

    Its informational lines cost as much as the enforcement (one for each connection and each
    streamed body) and repeat what clients sent.
    """
    who = f"worker {place.index}: " if place is not None else ""
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, datefmt="%Y-%m-%dT%H:%M:%S%z",
        format=f"%(asctime)s %(levelname)s {who}%(message)s")
    logging.getLogger("outbounds").setLevel(logging.DEBUG if verbose else logging.INFO)
    logging.getLogger("mitmproxy").setLevel(logging.INFO if verbose else logging.WARNING)
    # "client disconnected" and its kind, at warning level, once per odd client
    logging.getLogger("mitmproxy.proxy").setLevel(logging.INFO if verbose else logging.ERROR)
