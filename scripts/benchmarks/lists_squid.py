"""The same million names in Squid, as `dstdomain`, and in this product: ready, memory, reload."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from .lists_gap import Probe, first_answer
from .lists_swap import build, point_at
from .running import Running, children, free_port
from .setting import add_account, configuration
from .tools import find

_SETTLE = 3.0  # s of requests around a reload, at least

_SQUID = """\
http_port 127.0.0.1:{port}
acl listed dstdomain "{names}"
http_access deny listed
http_access allow all
cache deny all
access_log none
cache_log {folder}/cache.log
cache_store_log none
pid_filename {folder}/squid.pid
coredump_dir none
shutdown_lifetime 0 seconds
workers 1
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """Seconds until the first reply, MiB (share of every process that serves), and the longest
    time in seconds without a reply while the list is exchanged."""

    ready: float
    memory: float
    gap: float


def squid(folder: Path, listed: Path, turns: int) -> Seen:
    """Raises `tools.Missing`."""
    folder.mkdir()
    names = folder / "names.acl"  # a leading dot: the name and everything below it
    with listed.open() as lines, names.open("w") as file:
        file.writelines(f".{line}" for line in lines)
    port, config = free_port(), folder / "squid.conf"
    config.write_text(_SQUID.format(port=port, names=names, folder=folder))
    if os.geteuid() == 0:  # it gives up root for its own user, who must be able to write
        folder.chmod(0o777)
    program = find("squid")

    def reload() -> None:
        subprocess.run([program, "-k", "reconfigure", "-f", str(config)], check=True,
                       capture_output=True)

    with Running([program, "-N", "-f", str(config)], _core(), log=folder / "log") as running:
        return _seen(running, port, _first(listed), turns, reload, seconds=30.0)


def product(folder: Path, listed: Path, turns: int) -> Seen:
    """`outbounds serve`, and lists exchanged as the build does it."""
    folder.mkdir()
    # the same names in another order, so that there is something to exchange
    other = folder / "names.txt"
    other.write_text("".join(f"{name}\n" for name in reversed(listed.read_text().split())))
    config = configuration(folder / "config", free_port())
    add_account(config)
    generations = [build(config, names) for names in (listed, other)]
    turn = iter(range(2 * turns))
    port, log = free_port(), folder / "log"
    command = [sys.executable, "-m", "outbounds", "serve", "--config", str(config),
               "--port", str(port)]

    def swap() -> None:
        wanted = generations[next(turn) % 2]
        point_at(config, wanted)
        deadline = time.monotonic() + 15
        while not re.search(rf"Lists {wanted[:12]}", log.read_text()[-300:]):
            if time.monotonic() > deadline:
                raise RuntimeError(f"lists {wanted[:12]} did not come into force:\n"
                                   + log.read_text()[-2000:])
            time.sleep(0.05)

    with Running(command, _core(), log=log) as running:
        return _seen(running, port, _first(listed), turns, swap, seconds=_SETTLE)


def _seen(running: Running, port: int, host: str, turns: int, reload: Callable[[], None],
          seconds: float) -> Seen:
    ready = first_answer(port, host)
    memory = sum(map(_share, (running.process.pid, *children(running.process.pid))))
    gaps = []
    for _ in range(turns):
        with Probe(port, host) as probe:
            time.sleep(0.5)
            reload()
            _until_answers(port, host, seconds)
        gaps.append(probe.longest)
    return Seen(ready, memory, median(gaps))


def _until_answers(port: int, host: str, seconds: float) -> None:
    """Wait until what a reload brings is over: some quiet seconds, each with a reply."""
    quiet = time.monotonic() + min(seconds, _SETTLE)
    deadline = time.monotonic() + 10 * seconds
    while time.monotonic() < min(quiet, deadline):
        took = first_answer(port, host)
        if took > 0.2:
            quiet = time.monotonic() + _SETTLE
        time.sleep(0.05)


def _share(pid: int) -> float:
    """Proportional set size in MiB: pages that several processes map count in part."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.search(r"^Pss:\s+([0-9]+)", text, re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024


def _first(listed: Path) -> str:
    with listed.open() as file:
        return f"www.{file.readline().strip()}"


def _core() -> int:
    return max(os.sched_getaffinity(0))
