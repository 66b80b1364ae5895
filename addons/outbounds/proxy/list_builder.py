"""Builds lists in a process of its own, beside the proxy: `outbounds lists build`.

The very command that an operator would type, so that there is one way to build. One at a time; a
build that another worker or a person has under way is not waited for, its result is seen on disk.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import outbounds

_PACKAGE = str(Path(outbounds.__file__).resolve().parent.parent)
_KEPT = 4000  # octets of what it says that are kept for the log


class ListBuilder:
    def __init__(self, config_dir: Path) -> None:
        self._config = config_dir.absolute()
        self._process: asyncio.subprocess.Process | None = None

    async def run(self) -> tuple[int, str]:
        """Build once. Returns its exit status and the end of what it said. Raises OSError."""
        inherited = os.environ.get("PYTHONPATH")
        path = os.pathsep.join([_PACKAGE, inherited] if inherited else [_PACKAGE])
        self._process = process = await asyncio.create_subprocess_exec(
            # -P: a file in the current directory must not stand in for a module
            sys.executable, "-P", "-m", "outbounds", "lists", "build", "--quiet",
            "--config", str(self._config),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,  # Ctrl-C is for the proxy, which then stops this in order
        )
        try:
            _, said = await process.communicate()
        finally:
            self._process = None
        return process.returncode or 0, said[-_KEPT:].decode("utf-8", "replace").strip()

    async def stop(self) -> None:
        """End a build that is under way: it leaves the last good lists in force."""
        process = self._process
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.terminate()
