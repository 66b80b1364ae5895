"""Judges by reppy, in a process that may be killed at any moment: the child's side, and its words.

reppy is C++ that reads what strangers wrote. It may abort, or never come back, so nothing here is
trusted with anything: this process has no environment, no files to write, bounded memory, and one
socket, on which it is asked one question after another.

It never outlives the proxy, whatever ended that. Between questions it sees the end of the socket;
inside reppy it sees nothing, so each question also starts a timer of processor time whose signal
nobody handles: the kernel ends the process, in Python or in C++.

The proxy runs this file by its path, and imports it for the messages. By the name of the module
the whole package would be loaded in the child, and a restart would take three times as long. For
the same reason, and so that the proxy never loads reppy, reppy is imported in `main` only.
"""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import struct
from typing import Any, BinaryIO

import msgspec

SITE = b"http://site.invalid"
"""What stands before each path, and is the site of each file. reppy looks at the host only to skip
rules that are absolute URLs; a path alone it may take for a host ("//foo:bar/"), and it cannot
read the address of an IPv6 host at all. Each of the two would abort it."""

HEAD = struct.Struct("!I")
"""Before each message: its length in octets."""

PROCESSOR_TIME = 2.0  # seconds for one question; the proxy's own deadline is shorter
MEMORY = 512 << 20  # octets of address space; about 50 MiB are there before the first file
FILES = 16 << 20  # octets of the files that are remembered; reppy needs about two for each
FILE = 1024  # octets that a file costs beside its own
NICE = 5


class Ask(msgspec.Struct, array_like=True, tag=True):
    """May each of `agents` fetch all of `urls`? `body` is the file, None if sent before; with it
    nothing need be asked (the answer is no verdicts), so that reading has a deadline of its own."""

    digest: str
    agents: tuple[str, ...]
    urls: tuple[bytes, ...]
    body: bytes | None


class Ready(msgspec.Struct, array_like=True, tag=True):
    """The first reply: reppy is loaded, and has judged one file right."""


class Verdicts(msgspec.Struct, array_like=True, tag=True):
    """For the agents in their order, up to and with the first refusal."""

    allowed: tuple[bool, ...]


class Unknown(msgspec.Struct, array_like=True, tag=True):
    """The file has been forgotten and has to be sent again."""


class Fault(msgspec.Struct, array_like=True, tag=True):
    """reppy, or what is around it, raised an exception."""

    what: str


Reply = Ready | Verdicts | Unknown | Fault


class Judge:
    """What is remembered between questions. `parse(url, body)` is reppy's."""

    def __init__(self, parse: Any) -> None:
        # imported after the limits are set, like reppy, and not in the proxy for this file's sake
        from cachetools import LRUCache

        self._parse = parse
        self._files: LRUCache[str, tuple[Any, int]] = LRUCache(FILES, lambda file: file[1])

    def answer(self, ask: Ask) -> Reply:
        try:
            robots = self._file(ask)
            if robots is None:
                return Unknown()
            found: list[bool] = []
            for agent in ask.agents:
                found.append(all(robots.allowed(url, agent) for url in ask.urls))
                if not found[-1]:
                    break
            return Verdicts(tuple(found))
        except Exception as fault:  # each of reppy's own ends as RuntimeError or ValueError
            return Fault(f"{type(fault).__name__}: {fault}"[:500])

    def _file(self, ask: Ask) -> Any:
        known = self._files.get(ask.digest)
        if known is not None:
            return known[0]
        if ask.body is None:
            return None
        # an answer is remembered by the digest alone: for another file it would be another's
        if hashlib.sha256(ask.body).hexdigest() != ask.digest:
            raise ValueError("the file is not the one of this digest")
        robots = self._parse(SITE + b"/robots.txt", ask.body)
        self._files[ask.digest] = (robots, len(ask.body) + FILE)
        return robots


def bound_this_process() -> None:
    for what, most in ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CORE, 0),
                       (resource.RLIMIT_FSIZE, 0)):
        resource.setrlimit(what, (most, most))
    os.nice(NICE)


def serve(judge: Judge, asks: BinaryIO, replies: BinaryIO) -> None:
    """Until the proxy closes its end."""
    decoder = msgspec.msgpack.Decoder(Ask)
    encoder = msgspec.msgpack.Encoder()

    def reply(message: Reply) -> None:
        octets = encoder.encode(message)
        replies.write(HEAD.pack(len(octets)) + octets)
        replies.flush()

    proof = judge.answer(Ask(hashlib.sha256(b"User-agent: *\nDisallow: /a").hexdigest(), ("b",),
                             (SITE + b"/a",), b"User-agent: *\nDisallow: /a"))
    if proof != Verdicts((False,)):
        reply(Fault(f"reppy misjudges the plainest file: {proof}"))
        return
    reply(Ready())
    while len(head := asks.read(HEAD.size)) == HEAD.size:
        octets = asks.read(HEAD.unpack(head)[0])
        signal.setitimer(signal.ITIMER_PROF, PROCESSOR_TIME)
        message = judge.answer(decoder.decode(octets))
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        reply(message)


def main() -> None:
    # whatever else writes to standard output must not stand among the replies
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    try:
        from reppy.robots import Robots  # type: ignore[import-untyped,unused-ignore]
    except Exception as fault:
        octets = msgspec.msgpack.encode(Fault(f"{type(fault).__name__}: {fault}"[:500]))
        replies.write(HEAD.pack(len(octets)) + octets)
        replies.flush()
        return
    bound_this_process()
    with os.fdopen(0, "rb") as asks:
        serve(Judge(Robots.parse), asks, replies)


if __name__ == "__main__":
    main()
