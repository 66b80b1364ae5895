"""Stands in for the process that judges by reppy, and misbehaves as a URL tells it to.

Run by its path, with words for what it does before it is ready: "silent", "garbage", "crash", or
"once FILE" (it crashes unless FILE is there to be deleted). Otherwise it keeps the protocol; a path
that holds one of `DEEDS` has it done.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import threading
import time
from pathlib import Path

# by its path, as the proxy runs it: by the module's name a start would take three times as long
_SPEC = importlib.util.spec_from_file_location("worker", Path(__file__).resolve().parents[2]
                                               / "addons/outbounds/robotstxt/reppy_worker.py")
assert _SPEC is not None and _SPEC.loader is not None
worker = importlib.util.module_from_spec(_SPEC)
sys.modules["worker"] = worker
_SPEC.loader.exec_module(worker)


def stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def chatter() -> None:
    os.write(1, b"\0\0\0\4what")


DEEDS = {
    b"/abort": os.abort,
    b"/endless": lambda: sum(range(10**14)),  # in C, as in reppy: no Python code can end it
    b"/stop": stop,
    b"/exit": lambda: os._exit(0),
    b"/garbage": chatter,
    b"/huge": lambda: os.write(1, b"\xff\xff\xff\xff"),
    b"/half": lambda: (os.write(1, b"\0\0\0\4\x93"), os._exit(0)),
    b"/raise": lambda: int("no number"),
    b"/later": lambda: threading.Timer(0.02, chatter).start(),
    b"/slow": lambda: time.sleep(0.05),
}


class Rules:
    """Disallows "/private", and what the file says after "agent:" to that agent."""

    def __init__(self, body: bytes) -> None:
        self._refused = body.partition(b"agent:")[2].decode()

    def allowed(self, url: bytes, agent: str) -> bool:
        path = url.removeprefix(worker.SITE)
        for word, deed in DEEDS.items():
            if word in path:
                deed()
        return not path.startswith((b"/private", b"/a")) and agent != (self._refused or None)


class Short(worker.Judge):  # type: ignore[name-defined,misc]
    """Answers for nobody at /short, and has forgotten the file after /forget."""

    def answer(self, ask):  # type: ignore[no-untyped-def]
        reply = super().answer(ask)
        if any(b"/short" in url for url in ask.urls):
            return worker.Verdicts(())
        if any(b"/forget" in url for url in ask.urls):
            self._files.clear()
        return reply


def main() -> None:
    deed = sys.argv[1] if len(sys.argv) > 1 else ""
    if deed == "once" and Path(sys.argv[2]).exists():
        Path(sys.argv[2]).unlink()
        deed = ""
    if deed == "silent":
        time.sleep(60)
    if deed == "garbage":
        os.write(1, b"Python 3\n")
    if deed in ("crash", "once"):
        os._exit(3)
    with os.fdopen(0, "rb") as asks, os.fdopen(1, "wb") as replies:
        worker.serve(Short(lambda url, body: Rules(body)), asks, replies)


if __name__ == "__main__":
    main()
