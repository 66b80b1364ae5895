"""The proxy's child: started, restarted, and gone when the proxy is."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from collecting import ADDONS, Proxy, names, wait_for

from outbounds.evidence.supervisor import CollectorProcess


@pytest.mark.parametrize("eager", [False, True])
async def test_a_killed_collector_comes_back(directory: Path, tmp_path: Path, eager: bool) -> None:
    loop = asyncio.get_running_loop()
    if eager:
        loop.set_task_factory(asyncio.eager_task_factory)
    said: list[str] = []
    collector = CollectorProcess(directory, tmp_path / "socket", report=said.append)
    one = Proxy(tmp_path / "socket")
    one.client.start()
    await collector.start()
    try:
        await one.client.wait_available(5)
        pairs = []
        for _ in range(2):
            pairs.append(one.pair())
            await one.client.commit(pairs[-1][1])
            assert collector.pid is not None
            os.kill(collector.pid, signal.SIGKILL)
            await asyncio.to_thread(wait_for, lambda: not one.client.available)
            one.client.post(pairs[-1][2])
            await one.client.wait_available(5)
        assert await one.client.close()
        assert collector.restarts == 2
        assert "ended with status -9; starting it again in 0.1 s" in said[0]
        pid = collector.pid
    finally:
        await one.client.close(0)
        await collector.stop()
    assert pid is not None and gone(pid)
    assert names(directory) == [(p[0], t) for p in pairs for t in ("start", "end")]


async def test_a_hung_collector_is_killed_on_stop(directory: Path, tmp_path: Path) -> None:
    collector = CollectorProcess(directory, tmp_path / "socket")
    await collector.start()
    pid = collector.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    await collector.stop(within=0.3)
    assert collector.pid is None and gone(pid)


PROXY = """
import asyncio, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from collecting import Proxy
from outbounds.evidence.supervisor import CollectorProcess

async def main():
    socket = Path(sys.argv[1])
    collector = CollectorProcess(socket.parent / "evidence", socket)
    await collector.start()
    one = Proxy(socket)
    one.client.start()
    await one.client.wait_available(5)
    id, start, end = one.pair()
    await one.client.commit(start)
    print(collector.pid, id, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def run_proxy(socket: Path) -> tuple[subprocess.Popen[str], int, str]:
    process = subprocess.Popen([sys.executable, "-c", PROXY, str(socket),
                                str(Path(__file__).parent)], text=True, stdout=subprocess.PIPE,
                               env={**os.environ, "PYTHONPATH": ADDONS})
    assert process.stdout is not None
    pid, id = process.stdout.readline().split()
    return process, int(pid), id


def gone(pid: int) -> bool:
    """Ended; as an orphan it may stay a zombie where no init reaps it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_the_collector_leaves_after_a_killed_proxy_and_a_new_one_carries_on(
        directory: Path, tmp_path: Path) -> None:
    ids = []
    for _ in range(2):  # at once, as a service manager would
        process, pid, id = run_proxy(tmp_path / "socket")
        ids.append(id)
        process.kill()
        process.wait()
    wait_for(lambda: gone(pid))
    assert names(directory) == [(id, t) for id in ids for t in ("start", "end")]
    assert not (tmp_path / "socket").exists()
