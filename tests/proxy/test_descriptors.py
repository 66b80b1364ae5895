"""Room for descriptors, in a process of its own: a limit that was lowered stays low."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import logging, resource, sys
logging.basicConfig(format="%(message)s", stream=sys.stdout)
from outbounds.proxy.descriptors import make_room
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 2000))
make_room(int(sys.argv[1]))
print(resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(("connections", "warns"), [(1500, False), (1501, True)])
def test_the_soft_limit_is_raised_and_a_low_hard_one_is_told(connections: int, warns: bool) -> None:
    said = subprocess.run([sys.executable, "-c", SCRIPT, str(connections)], capture_output=True,
                          text=True, check=True).stdout
    assert said.splitlines()[-1] == "(2000, 2000)"
    assert (f"too few for the {connections} connections" in said) is warns
