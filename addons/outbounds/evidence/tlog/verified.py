"""A checkpoint from a file, believed only if it is signed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .checkpoint import BadCheckpoint, Checkpoint
from .note import BadNote, Verifier, open_note


def read_checkpoint(path: Path, verifiers: Sequence[Verifier]) -> Checkpoint:
    """Raises BadNote, BadCheckpoint, OSError."""
    try:
        return parse_signed(path.read_bytes().decode("utf-8"), verifiers)
    except UnicodeDecodeError:
        raise BadNote("it is no text") from None


def parse_signed(note: str, verifiers: Sequence[Verifier]) -> Checkpoint:
    """The checkpoint of `note`, signed under its own origin by one of `verifiers`. Raises BadNote,
    BadCheckpoint."""
    text, signers = open_note(note, verifiers)
    checkpoint = Checkpoint.parse(text)
    if checkpoint.origin not in {each.name for each in signers}:
        raise BadCheckpoint(f"it is of another log: {checkpoint.origin}")
    return checkpoint
