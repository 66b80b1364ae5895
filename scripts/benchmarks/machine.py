"""The machine and the versions that figures belong to."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("mitmproxy", "argon2-cffi", "bcrypt", "cachetools", "msgspec", "prometheus-client",
            "protego", "reppy")


def describe() -> dict[str, Any]:
    """`load` is the load average of the last minute: above 1, somebody else was at work too."""
    return {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": commit(),
        "cpu": cpu(),
        "cores": len(cores()),
        "load": round(os.getloadavg()[0], 2),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: installed(name) for name in PACKAGES},
    }


def cores() -> list[int]:
    """The cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def cpu() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor()
    found = [line.partition(":")[2].strip() for line in text.splitlines()
             if line.startswith("model name")]
    return found[0] if found else platform.processor()


def installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def commit() -> str:
    """The commit, with + where files differ from it; "" outside a clone."""
    try:
        found = subprocess.run(["git", "describe", "--always", "--dirty=+", "--exclude=*"],
                               cwd=Path(__file__).parent, capture_output=True, text=True)
    except OSError:
        return ""
    return found.stdout.strip()


def filesystem(place: Path) -> str:
    """The type of the file system that holds `place`: flushing to memory costs nothing."""
    try:
        mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return "disk"
    here = str(place.resolve())
    holding = [(point, kind) for point, kind in mounts
               if here == point or here.startswith(point.rstrip("/") + "/")]
    return max(holding, key=lambda found: len(found[0]))[1]
