"""Rounds of kill -9 under load, and what is there in the end."""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import signal
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from collecting import Collector, Proxy, names, wait_for

from outbounds.evidence.archive.layout import all_segments
from outbounds.evidence.client import EvidenceUnavailable
from outbounds.evidence.keeper.lock import kept_alone
from outbounds.evidence.keeper.sealing import seal_all
from outbounds.evidence.tlog.checkpoint import Checkpoint
from outbounds.evidence.tlog.keys import read_keys
from outbounds.evidence.tlog.log_tree import LogTree
from outbounds.evidence.tlog.merkle import verify_consistency
from outbounds.evidence.tlog.verified import read_checkpoint

CUSTOMERS = 16


@dataclass
class Found:
    """Ids of records that were lost, are there twice, or closed before they were opened; and how
    many there were of what."""

    lost: list[str]
    twice: list[tuple[str, str]]
    orderless: list[str]
    left_over: list[str]
    kills: int = 0
    keeper_kills: int = 0
    acknowledged: int = 0
    records: int = 0
    checkpoints: int = 0
    sealed: int = 0


async def rounds(directory: Path, socket: Path, count: int, seed: int,
                 segment: int = 200_000, most: int = 400) -> Found:
    """`count` collectors, one after the other, each killed while 16 customers commit records and,
    three times in four, a keeper seals; both are killed after 1 to `most` of them, by chance.
    `segment` is in bytes: small, so that there is always something to seal."""
    chance = random.Random(seed)
    one = Proxy(socket, timeout=5.0)
    one.client.start()
    acknowledged: list[str] = []
    made: list[str] = []
    stop, enough, reached = False, 0, asyncio.Event()

    async def customer() -> None:
        while not stop:
            id, start, end = one.pair()
            made.append(id)
            try:
                await one.client.commit(start)
            except EvidenceUnavailable:
                await asyncio.sleep(0.01)
            else:
                acknowledged.append(id)
                if len(acknowledged) >= enough:
                    reached.set()
            one.client.post(end)

    found = Found([], [], [], [])
    signed: list[Checkpoint] = []
    customers = [asyncio.create_task(customer()) for _ in range(CUSTOMERS)]
    try:
        for _ in range(count):
            collector = Collector(directory, socket, "--segment-size", str(segment),
                                  "--keep-after", "3600")
            try:
                try:
                    await one.client.wait_available(60)  # a disk may be busy for that long
                except EvidenceUnavailable as error:
                    raise AssertionError(
                        f"round {found.kills}: the collector did not come back: {error}; status "
                        f"{collector.process.poll()}, said: {collector.errors}") from error
                sealer = None
                if chance.random() < 0.75:
                    sealer = _processes.Process(target=_seal, args=(directory,), daemon=True)
                    sealer.start()
                # not a time: on a machine that is busy nothing would have happened in it
                enough = len(acknowledged) + chance.randrange(1, most)
                reached.clear()
                await reached.wait()
                if sealer is not None:
                    sealer.kill()
                    await asyncio.to_thread(sealer.join)
                    found.keeper_kills += sealer.exitcode == -signal.SIGKILL
                _note_signed(directory, signed)
            finally:
                collector.kill()
                await asyncio.to_thread(collector.end)
            found.kills += 1
            _note_signed(directory, signed)
            await asyncio.to_thread(wait_for, lambda: not one.client.available)
    finally:
        stop = True
        await asyncio.gather(*customers)
    last = Collector(directory, socket, "--keep-after", "3600")
    closed = await one.client.close(20)
    last.kill(signal.SIGTERM)
    await asyncio.to_thread(last.end)
    assert closed and one.client.lost == 0, last.errors
    seal_all(directory, lambda _: None, {})
    seal_all(directory, lambda _: None, {})
    _judge(directory, found, made, acknowledged, signed)
    return found


# a keeper takes longer to start than it works, and most kills shall meet it at work
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["outbounds.evidence.keeper.sealing"])


def _seal(directory: Path) -> None:
    with kept_alone(directory, 5):
        seal_all(directory, lambda _: None, {})


def _note_signed(directory: Path, signed: list[Checkpoint]) -> None:
    """Keep the newest checkpoint, as a witness would; its signature is checked."""
    keys = [each.verifier for each in read_keys(directory / "log" / "keys")]
    checkpoint = read_checkpoint(directory / "log" / "checkpoint", keys)
    if not signed or checkpoint.size != signed[-1].size or checkpoint.root != signed[-1].root:
        signed.append(checkpoint)


def _judge(directory: Path, found: Found, made: list[str], acknowledged: list[str],
           signed: list[Checkpoint]) -> None:
    there = names(directory)
    counted = Counter(there)
    found.records, found.acknowledged = len(there), len(acknowledged)
    found.lost = [id for id in acknowledged if (id, "start") not in counted]
    # everything was handed over again until it was acknowledged, so all that was made is there
    found.lost += [id for id in made if (id, "end") not in counted]
    found.twice = [name for name, times in counted.items() if times > 1]
    place = {name: at for at, name in enumerate(there)}
    found.orderless = [id for id in made if place.get((id, "start"), -1) > place[id, "end"]]
    tree = LogTree.open(directory)
    for old, new in zip(signed, [*signed[1:], tree.checkpoint], strict=True):
        assert old.size <= new.size, f"shrunken: {old.size} to {new.size}"
        verify_consistency(old.size, old.root, new.size, new.root,
                           tree.consistency(old.size, new.size))
    found.checkpoints = len(signed)
    segments = all_segments(directory)
    found.sealed = sum(each.sealed for each in segments)
    stems = {each.stem for each in segments}
    found.left_over = [path.name for path in (directory / "segments").iterdir()
                       if path.name.endswith(".new") or path.name.partition(".")[0] not in stems
                       or (path.suffix == ".jsonl" and path.with_suffix(".seal").exists())]
