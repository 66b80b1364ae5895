"""The tiles, made from records that are sealed: DIR/log/tile/…, and how far they reach.

    log/tiles.json    {"size": 70000, "edge": ["<hex>", …]}

`size` leaves are covered: by full tiles, and by `edge`, the hashes of each level that fill no tile
yet, one after the other. It is written when the tiles are on disk, so a crash before it leaves
tiles that nobody counts on, and the next pass writes the same again. Without it, or where it is
damaged, all tiles are made anew from the records.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from ..directory import replace_file
from ..tlog.tiles import BadTile, TileStore
from ..tlog.tree import TILE_HEIGHT, TILE_WIDTH, Tree


class Tiled(msgspec.Struct, frozen=True):
    """How far the tiles reach; `edge` in hex."""

    size: int = 0
    edge: tuple[str, ...] = ()

    @property
    def hashes(self) -> list[bytes]:
        """Raises ValueError."""
        hashes = [bytes.fromhex(each) for each in self.edge]
        if tuple(each.hex() for each in hashes) != self.edge:
            raise ValueError("the edge is not as hex is written here: lower case, nothing between")
        return hashes


_decode = msgspec.json.Decoder(Tiled).decode


def load_tiled(log: Path) -> Tiled:
    """Nothing, where there is no such file. Raises BadTile, OSError."""
    path = log / "tiles.json"
    try:
        tiled = _decode(path.read_bytes())
        Tree(_keep_nothing, tiled.size, tiled.hashes)  # whether the two belong together
    except FileNotFoundError:
        return Tiled()
    except (msgspec.MsgspecError, ValueError) as error:
        raise BadTile(f"{path}: {error}") from None
    return tiled


class Tiler:
    """The tiles under `log`. What is added is in memory only until `save`."""

    def __init__(self, log: Path, tiled: Tiled) -> None:
        self._log = log
        self._store = TileStore(log)
        self._full: list[tuple[int, int, bytes]] = []
        self._tree = self._grown(tiled.size, tiled.hashes)

    @property
    def size(self) -> int:
        return self._tree.size

    def root(self) -> bytes:
        return self._tree.root()

    def extend(self, leaves: Iterable[bytes]) -> None:
        append = self._tree.append
        for leaf in leaves:
            append(leaf)

    def copy(self) -> Tiler:
        """Another one of the same tree, to try something with."""
        return Tiler(self._log, self._tiled())

    def rewind(self, size: int) -> None:
        """Go back to `size` leaves. What a complete subtree's hash is does not depend on what came
        after it, so the tiles have it. Raises BadTile."""
        if size == self.size:
            return
        levels = max(1, -(-size.bit_length() // TILE_HEIGHT))
        reader = self._store.reader(self.size, self._tree.edge)
        edge = []
        for level in range(levels):
            complete = size >> TILE_HEIGHT * level
            start = complete // TILE_WIDTH * TILE_WIDTH
            edge.append(b"".join(reader(TILE_HEIGHT * level, at) for at in range(start, complete)))
        self._full.clear()
        self._tree = self._grown(size, edge)

    def save(self) -> None:
        """Put what was added on disk. Raises OSError."""
        for tile in self._full:
            self._store.keep(*tile)
        sync_filesystem(self._log)
        replace_file(self._log / "tiles.json", msgspec.json.encode(self._tiled()))
        self._full.clear()

    def _tiled(self) -> Tiled:
        return Tiled(self.size, tuple(each.hex() for each in self._tree.edge))

    def _grown(self, size: int, edge: list[bytes]) -> Tree:
        return Tree(lambda *tile: self._full.append(tile), size, edge)


def _keep_nothing(level: int, index: int, octets: bytes) -> None:
    """For a tree that is only looked at."""


_libc = ctypes.CDLL(None, use_errno=True)


def sync_filesystem(folder: Path) -> None:
    """Everything written to the filesystem that `folder` is on is on disk when this returns
    (syncfs(2)). One flush for the thousands of tiles of a segment, which would each need two of
    their own and wait for the collector's in between. Raises OSError."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if _libc.syncfs(fd):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))
    finally:
        os.close(fd)
