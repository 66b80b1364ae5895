"""Starting one of our modules as a process of its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import outbounds

# found from where we are, which under `mitmdump -s` is a source tree on nobody's path
_PACKAGE = str(Path(outbounds.__file__).resolve().parent.parent)


def module(name: str, *words: str) -> tuple[list[str], dict[str, str]]:
    """Words and environment that start `python -m outbounds.evidence.NAME` with `words`."""
    inherited = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([_PACKAGE, inherited] if inherited else [_PACKAGE])
    # -P: a file in the current directory must not stand in for a module
    return ([sys.executable, "-P", "-m", f"outbounds.evidence.{name}", *words],
            {**os.environ, "PYTHONPATH": path})
