"""YAML text to plain data, with the line of every value and without YAML's traps.

The file is composed to nodes once and the nodes are read here, not by a YAML constructor, because
a constructor forgets the lines, lets the last of two equal keys win in silence, and follows
aliases, with which a few hundred bytes can name a billion values. So:

- a key given twice is an error that names both lines;
- anchors and aliases are an error (and an alias needs an anchor, so no alias survives);
- only the plain scalar types exist: text, integer, number, true/false, null. A date stays text;
  the field it is meant for reads it. Any other tag is an error;
- a list becomes a tuple, so that what is validated is what nobody can change later.

A file that does not parse yields one problem, the first, as the rest would be guesswork; every
other file is still read.
"""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from .problem import ABSENT, Key, Problem

MAX_YAML_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 20
TOO_DEEP = "nested too deeply; no value here needs more than five levels"
TAG = "tag:yaml.org,2002:"


class Unreadable:
    """Stands where a value could not be read; its problem is already reported."""

    def __repr__(self) -> str:
        return "(unreadable)"


UNREADABLE = Unreadable()


@dataclass(slots=True)
class Document:
    """One file as read: `name` as messages show it, `data`, the line of each key path."""

    name: str
    path: Path
    data: Any = UNREADABLE
    lines: dict[Key, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line(self, key: Key) -> int:
        """The line of `key`, or of the nearest thing around it that is in the file."""
        while key and key not in self.lines:
            key = key[:-1]
        return self.lines.get(key, 0)

    def report(self, key: Key, value: Any, text: str) -> None:
        self.problems.append(Problem(self.name, self.line(key), key, value, text))


class Unusable(Exception):
    """A file cannot be read as text. `line` is 0 where the fault is not at a line."""

    def __init__(self, text: str, line: int = 0, value: Any = ABSENT) -> None:
        super().__init__(text)
        self.text, self.line, self.value = text, line, value


def check_file(path: Path) -> None:
    """Raises `Unusable` unless `path` is a regular file that this process may read."""
    try:
        # a FIFO or a device would block the start, or a reload, for ever
        if not stat.S_ISREG(path.stat().st_mode):
            raise Unusable("not a regular file; put a text file here")
    except (FileNotFoundError, NotADirectoryError):
        raise Unusable("no such file; create it or correct the name") from None
    except (OSError, ValueError) as error:
        raise Unusable(f"cannot be looked up ({error}); correct the name") from None
    if not os.access(path, os.R_OK):
        raise Unusable("may not be read by this user; change its permissions")


def read_text(path: Path, limit: int) -> str:
    """The text of a UTF-8 file of at most `limit` bytes. Raises `Unusable`, with the fix."""
    check_file(path)
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise Unusable(f"cannot be read ({error.strerror}); check the disk") from None
    if len(content) > limit:
        raise Unusable(f"larger than {limit} bytes; split it or shorten it")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Unusable("not UTF-8; save the file as UTF-8", line,
                       f"0x{content[error.start]:02x}") from None


def read_yaml(path: Path, name: str) -> Document:
    """Read one file. Every fault is in the document's `problems`; nothing is raised."""
    document = Document(name, path)
    try:
        text = read_text(path, MAX_YAML_BYTES)
    except Unusable as error:
        document.problems.append(Problem(name, error.line, (), error.value, error.text))
        return document
    try:
        root = YAML(typ="safe", pure=True).compose(text)
    except (YAMLError, RecursionError) as error:
        line, problem = explain(error, text)
        document.problems.append(Problem(name, line, (), ABSENT, problem))
        return document
    if root is None:
        document.problems.append(
            Problem(name, 1, (), ABSENT, "the file says nothing; `outbounds init DIR` writes one "
                                         "to start from"))
        return document
    document.lines[()] = 1
    document.data = Reader(document).read(root, ())
    return document


def explain(error: Exception, text: str) -> tuple[int, str]:
    """A parser's error as (line, problem; fix). Tabs get their own words: they look like spaces."""
    if isinstance(error, RecursionError):
        return 0, TOO_DEEP
    if isinstance(error, ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return line, "a control character; remove it"
    mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
    if mark is None:
        return 0, f"not YAML: {str(error).splitlines()[0]}; correct the syntax"
    lines = text.splitlines()
    at = lines[mark.line] if mark.line < len(lines) else ""
    if "\t" in at[: len(at) - len(at.lstrip())] or at[mark.column : mark.column + 1] == "\t":
        return mark.line + 1, "a tab; indent with spaces"
    assert isinstance(error, MarkedYAMLError)
    words = " ".join(part for part in (error.context, error.problem) if part)
    return mark.line + 1, f"not YAML: {words}; correct the syntax at column {mark.column + 1}"


def _text(text: str) -> str:
    text.encode()  # "\\ud800" is half a character: it can be neither hashed nor printed
    return text


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _integer(text: str) -> int:
    return int(text, 0 if text.lstrip("+-")[:2] in ("0x", "0o") else 10)


SCALARS: dict[str, Callable[[str], Any]] = {
    TAG + "str": _text,
    TAG + "int": _integer,
    TAG + "float": _number,
    TAG + "bool": lambda text: text.lower() == "true",
    TAG + "null": lambda text: None,
    TAG + "timestamp": _text,
}


class Reader:
    """Turns nodes into data, and notes lines and faults in the document."""

    def __init__(self, document: Document) -> None:
        self.document = document

    def read(self, node: Node, key: Key) -> Any:
        if node.anchor:
            return self.unreadable(key, f"&{node.anchor}",
                                   "anchors and aliases are not used here; write the value out")
        if len(key) > MAX_DEPTH:  # far below what would exhaust the stack, here or in pydantic
            return self.unreadable(key[:1], ABSENT, TOO_DEEP)
        if isinstance(node, ScalarNode):
            return self.scalar(node, key)
        if isinstance(node, SequenceNode) and node.tag == TAG + "seq":
            return tuple(self.item(child, (*key, i)) for i, child in enumerate(node.value))
        if isinstance(node, MappingNode) and node.tag == TAG + "map":
            return self.mapping(node, key)
        return self.unreadable(key, str(node.tag), "this tag is not used here; remove it")

    def item(self, node: Node, key: Key) -> Any:
        self.document.lines[key] = node.start_mark.line + 1
        return self.read(node, key)

    def scalar(self, node: ScalarNode, key: Key) -> Any:
        convert = SCALARS.get(str(node.tag))
        if convert is None:
            return self.unreadable(key, str(node.tag), "this tag is not used here; remove it")
        try:
            return convert(node.value)
        except UnicodeEncodeError:
            return self.unreadable(key, ascii(node.value), "half a character; write it whole")
        except ValueError:
            return self.unreadable(key, node.value, "not a number that can be used; write digits")

    def mapping(self, node: MappingNode, key: Key) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name_node, value_node in node.value:
            line = name_node.start_mark.line + 1
            if not isinstance(name_node, ScalarNode) or name_node.anchor \
                    or not str(name_node.value).isprintable():
                self.document.problems.append(Problem(
                    self.document.name, line, key, ABSENT,
                    "a key that is not plain text; write a word before the colon"))
                continue
            name = str(name_node.value)
            here = (*key, name)
            if name in found:
                self.document.problems.append(Problem(
                    self.document.name, line, here, ABSENT,
                    f"given twice, first in line {self.document.lines[here]}; keep one"))
                continue
            self.document.lines[here] = line
            # a scalar may stand on a later line than its key (folded text, or a long path)
            if isinstance(value_node, ScalarNode) and value_node.value and not value_node.style:
                self.document.lines[here] = value_node.start_mark.line + 1
            found[name] = self.read(value_node, here)
        return found

    def unreadable(self, key: Key, value: Any, text: str) -> Unreadable:
        self.document.report(key, value, text)
        return UNREADABLE
