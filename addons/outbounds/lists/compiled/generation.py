"""A generation of compiled lists, open: the answers to what a request asks (`core.hit.Matcher`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Self

import hyperscan

from ...core.destination import Address, Host
from ...core.hit import Hits, Terms
from ...core.list_entry import SCHEMES
from . import names, networks, patterns, urls
from .faults import BadGeneration
from .manifest import Manifest, read, verify_files
from .origins import LINE, LINE_BITS, Known, known

FILES = (*names.FILES, *networks.FILES, *urls.FILES, *patterns.FILES)


def verify(folder: Path) -> None:
    """Read every octet of a generation. Raises BadGeneration, naming the file that is damaged.

    Takes as long as reading the files does; other threads run meanwhile.
    """
    verify_files(folder, read(folder, FILES))


class Generation:
    """Make one with `Generation.open`. Its files are unmapped when nothing refers to it any more;
    they may be deleted earlier.

    `lists` maps the id of each compiled list to the number of its different entries, whether or
    not it is in force, `labels` to the labels that its entries carry themselves. Not to be asked
    by several threads at once (`patterns`).
    """

    def __init__(self, folder: Path, manifest: Manifest, origins: list[Known | None]) -> None:
        self.version = manifest.version
        self.lists: Mapping[str, int] = manifest.lists
        self.labels: Mapping[str, frozenset[str]] = {list_id: frozenset(
            label for origin in manifest.origins if origin.list_id == list_id
            for label in origin.common.labels) for list_id in manifest.lists}
        self.size = sum(manifest.lists.values())
        self._names = names.Names(folder, manifest.names, origins)
        self._networks = networks.Networks(folder, origins)
        self._urls = urls.Urls(folder, origins)
        self._patterns = patterns.Patterns(folder, origins)
        self._ports = {port: _hits(rows, origins) for port, rows in manifest.ports.items()}
        self._schemes = {scheme: _hits(rows, origins)
                         for scheme, rows in manifest.schemes.items()}

    @classmethod
    def open(cls, folder: Path, terms: Mapping[str, Terms]) -> Self:
        """Map the files; `terms` are those of the lists in force, others match nothing.

        Checks that the files are complete, not every octet of them (`verify`). Raises
        BadGeneration.
        """
        manifest = read(folder, FILES)
        try:
            opened = cls(folder, manifest, known(manifest.origins, terms))
        except hyperscan.error as error:
            raise BadGeneration(folder / patterns.DATABASE,
                                f"its patterns were compiled for {manifest.engine or 'nothing'}, "
                                f"and this machine has {patterns.engine()} ({error})") from None
        except (OSError, RuntimeError, ValueError, IndexError) as error:
            raise BadGeneration(folder, f"it cannot be opened ({error})") from None
        if read(folder, FILES) != manifest:  # a build put another in the place of a damaged one:
            raise BadGeneration(folder, "it was replaced while it was being opened")  # other seed
        return opened

    def close(self) -> None:
        """Unmap the files now. Nothing may be asked afterwards."""
        del self._names, self._networks, self._urls, self._patterns

    def match(self, host: Host, port: int, scheme: str, path: str) -> Hits:
        found = self._names.match(host.text) if host.address is None \
            else self._networks.match(host.address)
        found += self._ports.get(port, ())
        found += self._schemes.get(scheme, ())
        if path and scheme in SCHEMES:
            found += self._urls.match(host, port, scheme, path)
            found += self._patterns.match(host, port, scheme, path)
        return tuple(found)

    def match_address(self, address: Address, port: int) -> Hits:
        return tuple(self._networks.match(address))


def _hits(rows: Iterable[int], origins: list[Known | None]) -> Hits:
    return tuple(found.hit(row & LINE, 0) for row in rows
                 if (found := origins[row >> LINE_BITS]) is not None)
