"""The collector's Unix socket: bound with mode 0600, and never taken from a living collector."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

_BACKLOG = 128


class SocketTaken(Exception):
    """The path is in use by another process, or is not a socket."""


def listen(path: Path, *, open_to_others: bool) -> socket.socket:
    """A listening, non-blocking stream socket at `path`; a dead one's file is removed first.

    Mode 0600, or 0666 where `open_to_others`: connecting needs write permission, and SO_PEERCRED
    then decides who stays. The caller's umask must be 0077, so that there is no moment at which
    the file is wider than that. Raises `SocketTaken`, OSError.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists():
        if not stat.S_ISSOCK(path.stat().st_mode):
            raise SocketTaken(f"{path}: exists and is not a socket; remove it or use another path")
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                pass  # nobody listens: it is left from a process that was killed
            else:
                raise SocketTaken(f"{path}: another collector listens here; give this one "
                                  "another socket")
    listener = socket.socket(socket.AF_UNIX)
    listener.setblocking(False)
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    try:
        listener.bind(str(draft))
    except OSError as error:
        # 107 characters is all that sun_path holds; the bare errno text does not say where
        raise OSError(error.errno, f"{draft}: {error.strerror or error}") from error
    draft.chmod(0o666 if open_to_others else 0o600)
    listener.listen(_BACKLOG)
    draft.rename(path)  # whoever finds the name finds it listening, with the right mode
    return listener
