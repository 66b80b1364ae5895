"""The function that runs on the server, under names that its own text gives it.

Two versions of this product may share a server while one replaces the other; each finds the
function it was written for, because the digest of the source is part of every name.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Function:
    """`source` is what FUNCTION LOAD is given; the rest are names for FCALL."""

    source: bytes
    take: bytes
    post: bytes
    beat: bytes


def function_of(text: str) -> Function:
    digest = sha256(text.encode()).hexdigest()[:12]
    names = (f"outbounds_{what}_{digest}".encode() for what in ("take", "post", "beat"))
    return Function(text.replace("@DIGEST@", digest).encode(), *names)


@cache
def shipped() -> Function:
    return function_of(files(__package__).joinpath("function.lua").read_text("utf-8"))
