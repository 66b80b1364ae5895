"""The category tarballs of the Université Toulouse Capitole: blacklists.tar.gz.

dsi.ut-capitole.fr/blacklists: a folder for each category, with the files of squidGuard in it.

    domains       a name and everything below it, or an address
    urls          host/path, a URL prefix at exactly that host
    expressions   POSIX regular expressions of squidGuard: unsupported

The category is the label of its entries. Lines are numbered through all files that are read, in
the order of the archive, so that one number names one line. Nothing is written anywhere, so paths
in the archive can do no harm; all the same only plain files at a path of the form
`…/category/domains` are read, and links, devices and paths that lead elsewhere are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from ...core.list_entry import Entry, Kind
from ..report import BadLine, Report, Unsupported
from . import entries, urls
from .lines import Batch, LineFormat, Source
from .plain import Shape

_CATEGORY = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)


def _domain(line: str, number: int) -> Iterable[Entry]:
    return (entries.name(Kind.DOMAIN, line, number),)


def _url(line: str, number: int) -> Iterable[Entry]:
    if "://" in line:
        return (urls.url(line, number),)
    origin, slash, path = line.partition("/")
    if not origin:
        raise BadLine("it is not of the form host/path")
    return (urls.prefix(origin, slash + path.partition("#")[0] or "/", number),)


def _expression(line: str, number: int) -> Iterable[Entry]:
    raise Unsupported("a regular expression of squidGuard")


_FILES = {
    "domains": LineFormat(_domain, shapes=(Shape(Kind.DOMAIN),)),
    "urls": LineFormat(_url),
    "expressions": LineFormat(_expression),
}


def category_file(path: str) -> tuple[str, str] | None:
    """(category, file) of a member that is read; None for any other."""
    parts = PurePosixPath(path).parts
    if len(parts) < 2 or parts[0] == "/" or ".." in parts or parts[-1] not in _FILES:
        return None
    category = parts[-2].lower()
    return (category, parts[-1]) if _CATEGORY.fullmatch(category) else None


class Ut1:
    def read(self, source: Source, report: Report) -> Iterator[Batch]:
        for path, blocks in source.members():
            found = category_file(path)
            if found is None:
                continue
            category, file = found
            for first, text in blocks:
                for batch in _FILES[file].block(first, text, source.name, report):
                    yield _labelled(batch, (category,))


def _labelled(batch: Batch, labels: tuple[str, ...]) -> Iterator[Entry]:
    for entry in batch:
        yield entry._replace(labels=labels)


UT1 = Ut1()
