"""Verifiers as they are given to a command: themselves, or in a file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from ..evidence.tlog.note import BadNote, Verifier


def trusted_keys(given: Iterable[str]) -> list[Verifier]:
    """Raises click.UsageError, naming what is no key."""
    found: list[Verifier] = []
    for text in given:
        try:
            if "+" in text and not Path(text).exists():
                found.append(Verifier.parse(text))
                continue
            lines = Path(text).read_text("utf-8").splitlines()
            found += [Verifier.parse(line) for line in lines if line.strip()]
        except (BadNote, UnicodeDecodeError) as error:
            raise click.UsageError(f"--key {text}: {error}") from None
        except OSError as error:
            raise click.UsageError(f"--key {text}: {error.strerror}; give a verifier, "
                                   "NAME+ID+BASE64, or a file with one a line") from None
    return found
