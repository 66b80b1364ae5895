"""Comparing octets with the checksums of what was sealed, wherever the octets come from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path

from ..archive.seal import Frame, Part

_CHUNK = 1024 * 1024


class Differs(Exception):
    """Octets are not those that were sealed. The message says where they come from, and which."""


def whole(name: str, content: bytes) -> Part:
    """A part of one frame, for what has none."""
    return Part(name, (Frame(len(content), sha256(content).hexdigest()),))


def compare(chunks: Iterable[bytes], part: Part, where: str) -> str:
    """SHA-256 (hex) of all octets of `chunks`, each frame of which is as `part` says. Raises
    Differs, and what reading raises."""
    total = sha256()
    frames = iter(enumerate(part.frames))
    number, frame = next(frames, (0, None))
    current, left = sha256(), frame.octets if frame else 0
    for chunk in chunks:
        total.update(chunk)
        view = memoryview(chunk)
        while view:
            if frame is None:
                raise Differs(f"{where}: longer than the {part.octets} octets that were sealed")
            current.update(view[:left])
            left, view = left - len(view[:left]), view[left:]
            if left == 0:
                if current.hexdigest() != frame.sha256:
                    raise Differs(f"{where}: frame {number} is not the one that was sealed")
                number, frame = next(frames, (0, None))
                current, left = sha256(), frame.octets if frame else 0
    if frame is not None:
        raise Differs(f"{where}: shorter than the {part.octets} octets that were sealed")
    return total.hexdigest()


def chunks_of(path: Path) -> Iterator[bytes]:
    """The content of a file. Raises OSError."""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk
