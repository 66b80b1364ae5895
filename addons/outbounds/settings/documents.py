"""The files of a configuration folder, read but not yet believed.

Which files there are, which ids they define, and what is wrong across a file or between files
before any schema is asked. The list files that destinations.yaml names are read here too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from ..core.list_entry import Entry, Kind
from .fields import nearest
from .problem import ABSENT, Problem
from .source import Document, Unreadable, Unusable, check_file, read_text, read_yaml

FILES = ("outbounds.yaml", "identity.yaml", "plans.yaml", "limits.yaml", "destinations.yaml",
         "protocol.yaml", "robots.yaml", "evidence.yaml", "exceptions.yaml")
CLAUSES = "aup"
NOT_POLICY = {"outbounds.yaml", "evidence.yaml"}
# A list of rules up to this size is held in memory and read whenever it changes; a larger one
# would hold up a reload, and is compiled.
MAX_IN_MEMORY = 1024 * 1024


class ParseRules(Protocol):
    """Reads the text of a list: its entries, and a line of text for each fault, ready to show."""

    def __call__(self, text: str, name: str) -> tuple[Sequence[Entry], Sequence[str]]: ...


class Documents:
    """Every file of the folder. `problems` are those that belong to no single YAML file."""

    def __init__(self, folder: Path, parse_rules: ParseRules) -> None:
        self.folder = folder
        self.problems: list[Problem] = []
        self.files = {name: self._read(name) for name in FILES}
        names = sorted(f"{CLAUSES}/{path.name}" for path in (folder / CLAUSES).glob("[!.]*.yaml"))
        self.clauses = {name: self._read(name) for name in names}
        if not names:
            self.report(f"{CLAUSES}/", "no clause catalogue; put a *.yaml here, as "
                                       "`outbounds init DIR` writes them")
        self.texts: dict[str, str] = {}
        self.entries: dict[str, Sequence[Entry]] = {}
        self.compiled: set[str] = set()  # ids of the lists that are not held in memory
        self._read_lists(parse_rules)
        self._strangers()
        for document in self.files.values():
            _repeated_ids([document])
        _repeated_ids(list(self.clauses.values()))

    def __iter__(self) -> Iterator[Document]:
        yield from self.files.values()
        yield from self.clauses.values()

    def report(self, name: str, text: str) -> None:
        self.problems.append(Problem(str(self.folder / name), 0, (), ABSENT, text))

    def all_problems(self) -> tuple[Problem, ...]:
        """File by file in the order they are read, and in each by line."""
        found = [problem for each in self
                 for problem in sorted(each.problems, key=lambda problem: problem.line)]
        return (*found, *self.problems)

    def paths(self) -> tuple[Path, ...]:
        """Every file read or looked for, and the password files that others will read."""
        named = [entry.get("file")
                 for name, key in (("destinations.yaml", "lists"), ("identity.yaml", "htpasswd"))
                 for _, entry in _entries(self.files[name], key)
                 if key != "lists" or entry.get("id") not in self.compiled]
        return (*(each.path for each in self),
                *(self.folder / name for name in named if isinstance(name, str)))

    def lines(self) -> dict[str, frozenset[int]]:
        """For each list that could be read, the lines that hold an entry."""
        return {name: frozenset(entry.line for entry in found)
                for name, found in self.entries.items()}

    def ids(self, name: str, key: str) -> frozenset[str] | None:
        """The ids that the list `key` of a file defines; None where the file does not parse."""
        return _ids(self.files[name], key)

    def clause_ids(self) -> frozenset[str] | None:
        found: set[str] = set()
        for document in self.clauses.values():
            ids = _ids(document, "clauses")
            if ids is None:
                return None
            found |= ids
        return frozenset(found) if self.clauses else None

    def version(self) -> str:
        """Hex SHA-256 of what the policy's files say.

        Over the canonical JSON (RFC 8259; sorted keys, no spaces) of each YAML file, and the text
        of each list, every one as `name NUL content NUL`, sorted by name. Comments, layout and
        the order of keys do not count; in a list they do, because a refusal cites its line.
        """
        parts = {name: _canonical(document.data)
                 for name, document in (self.files | self.clauses).items()
                 if name not in NOT_POLICY}
        parts |= {f"list {name}": text for name, text in self.texts.items()}
        digest = hashlib.sha256()
        for name in sorted(parts):
            digest.update(name.encode() + b"\0" + parts[name].encode() + b"\0")
        return digest.hexdigest()

    def _read(self, name: str) -> Document:
        path = self.folder / name
        return read_yaml(path, str(path))

    def _read_lists(self, parse_rules: ParseRules) -> None:
        document = self.files["destinations.yaml"]
        for index, entry in _entries(document, "lists"):
            name, file, form = (entry.get(key, "") for key in ("id", "file", "format"))
            if not isinstance(name, str) or not isinstance(file, str):
                continue  # the schema says so
            if not file or form not in ("", "rules"):
                self.compiled.add(name)
            if not file:
                continue
            path = self.folder / file
            try:
                check_file(path)
                if path.stat().st_size > MAX_IN_MEMORY:
                    self.compiled.add(name)
                if name in self.compiled:
                    continue
                text = read_text(path, MAX_IN_MEMORY)
            except (Unusable, OSError) as error:
                where = f"line {error.line}: " if isinstance(error, Unusable) and error.line else ""
                said = error.text if isinstance(error, Unusable) else str(error)
                document.report(("lists", index, "file"), file, where + said)
                continue
            text = text.replace("\r\n", "\n")
            found, faults = parse_rules(text, str(path))
            self.problems += [Problem("", 0, (), ABSENT, fault) for fault in faults]
            self._unknown_plans(str(path), found)
            if any(each.kind is Kind.PATTERN for each in found):
                self.compiled.add(name)  # patterns are compiled outside the proxy
            else:
                self.texts[name], self.entries[name] = text, found

    def _unknown_plans(self, name: str, entries: Sequence[Entry]) -> None:
        """An entry for a plan that does not exist is for nobody."""
        plans = self.ids("plans.yaml", "plans")
        if plans is None:
            return
        for entry in entries:
            for plan in sorted(entry.scope.plans - plans):
                self.problems.append(Problem(
                    name, entry.line, (), plan, f"unknown plan; {nearest(plan, plans)}"))

    def _strangers(self) -> None:
        """A YAML file that nobody reads is a rule that somebody believes in."""
        for path in sorted(self.folder.glob("[!.]*.y*ml")):
            if path.name not in FILES and path.suffix in (".yaml", ".yml"):
                self.report(path.name, f"nothing reads this file; {nearest(path.name, FILES)}")


def _entries(document: Document, key: str) -> Iterator[tuple[int, dict[str, Any]]]:
    data = document.data
    entries = data.get(key) if isinstance(data, dict) else None
    for index, entry in enumerate(entries if isinstance(entries, tuple) else ()):
        if isinstance(entry, dict):
            yield index, entry


def _ids(document: Document, key: str) -> frozenset[str] | None:
    if isinstance(document.data, Unreadable):
        return None
    found = (entry.get("id") for _, entry in _entries(document, key))
    return frozenset(name for name in found if isinstance(name, str))


def _repeated_ids(documents: list[Document]) -> None:
    """An id names one thing: within a list of a file, and over all files of clauses."""
    first: dict[tuple[str, str], str] = {}
    for document in documents:
        for key in document.data if isinstance(document.data, dict) else ():
            for index, entry in _entries(document, key):
                name, place = entry.get("id"), (key, index, "id")
                if not isinstance(name, str):
                    continue
                if (key, name) in first:
                    document.report(place, name, f"given twice, first at {first[key, name]}; "
                                                 "choose another id")
                else:
                    first[key, name] = f"{document.name}:{document.line(place)}"


def _canonical(data: Any) -> str:
    return json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
