"""`outbounds robots snapshot`: what a site's file said when a record was made."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click

from ..robotstxt.snapshots import Snapshots
from ..settings import SettingsError, load_service
from .config_option import config_option

_PREFIX = re.compile(r"[0-9a-f]{4,64}", re.ASCII)
_NAMED = 5  # of several that begin so, in the message


@click.command()
@click.argument("digest", metavar="HASH")
@config_option
def snapshot(digest: str, config_dir: Path) -> None:
    """Print the robots.txt whose SHA-256 is HASH, which a record has as outbounds.robots.sha256.

    The first digits are enough where only one file begins so. The hash of what is printed has been
    compared: it is what decided then, octet by octet.
    """
    digest = digest.lower()
    if not _PREFIX.fullmatch(digest):
        raise click.BadParameter(f"{digest!r} is no SHA-256, nor the first four or more of its "
                                 "hexadecimal digits", param_hint="HASH")
    try:
        folder = load_service(config_dir).data / "robots"
    except SettingsError as error:
        raise click.ClickException(str(error)) from None
    try:
        found = sorted(path.stem for path in (folder / digest[:2]).glob(f"{digest}*.txt"))
    except OSError as error:
        raise click.ClickException(f"{folder}: {error.strerror}; run the command as root or as "
                                   "the proxy's user") from None
    if not found:
        raise click.ClickException(f"no file is kept whose SHA-256 begins with {digest}; they are "
                                   "removed when no site has had them for as long as "
                                   "`snapshots.keep` in robots.yaml says")
    if len(found) > 1:
        raise click.ClickException(f"{len(found)} files begin with {digest}: "
                                   f"{', '.join(found[:_NAMED])}; give more of its digits")
    body = Snapshots(folder, 0.0).read(found[0])
    if body is None:
        raise click.ClickException(f"{folder / digest[:2] / found[0]}.txt cannot be read, or is "
                                   "not what it was when it was kept: its hash is another")
    sys.stdout.buffer.write(body)
    sys.stdout.buffer.flush()
