"""Has the configuration changed on disk? A few stat calls, cheap enough for every second.

Take the fingerprint before the load, and compare it with a later one: a change during the load is
then seen at the next look, instead of being taken for what was loaded.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from .documents import CLAUSES

Fingerprint = tuple[tuple[str, int, int, int] | tuple[str], ...]


def fingerprint(config_dir: Path, files: Iterable[Path] = ()) -> Fingerprint:
    """Name, mtime in ns, size and inode of every file that a load would read.

    `files` are those of the last load (`Settings.files`, `SettingsError.files`): they include
    lists and htpasswd files wherever they are, and files that were looked for and missing. The
    folder itself is searched for what is new in it; run data is never looked at.
    """
    paths = {*files, *config_dir.glob("[!.]*.y*ml"), *config_dir.glob(f"{CLAUSES}/[!.]*.yaml"),
             *config_dir.glob("lists/[!.]*")}
    return tuple(_seen(path) for path in sorted(paths))


def _seen(path: Path) -> tuple[str, int, int, int] | tuple[str]:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return (str(path),)
    return (str(path), status.st_mtime_ns, status.st_size, status.st_ino)
