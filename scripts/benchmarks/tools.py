"""Programs that the measurements need and Python does not bring: found, or installed, or missed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

# servers live in sbin, which is not on everybody's PATH
_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))


class Missing(Exception):
    """What needs this cannot be measured. The message says why, and what to do."""


def find(program: str, package: str = "") -> str:
    """The path of `program`; where it is missing, root on a Debian gets it by apt-get.

    Raises `Missing`.
    """
    package = package or program
    found = shutil.which(program, path=_PATH)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"installing {package} by apt-get ...", file=sys.stderr)
        # it must not start a server of its own, on port 80 or 3128, when it is installed
        install = subprocess.run(
            ["apt-get", "install", "--yes", "--no-install-recommends", package],
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        found = shutil.which(program, path=_PATH)
        if found is None:
            raise Missing(f"{program} is not there, and apt-get install {package} failed: "
                          f"{install.stderr.strip().splitlines()[-1:] or 'no reason given'}")
    if found is None:
        raise Missing(f"{program} is not installed (package {package})")
    return found
