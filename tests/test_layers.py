"""The house keeps its own rules: who may import whom, a core that sees nothing, small modules.

The rules are read off the syntax tree, so that an import inside a function, or under TYPE_CHECKING,
counts like any other. The first half says what is forbidden; the second runs the same checker over
small sources that break each rule, because a checker that finds nothing proves nothing.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ADDONS = Path(__file__).resolve().parents[1] / "addons"
PACKAGE = "outbounds"
ROOT = ""  # the modules of the package itself: __init__ and __main__

_MIDDLE = {"core", "settings", "fetching"}
_UPPER = ("stores", "lists", "identity", "robotstxt", "evidence", "resolver")
LAYERS: Mapping[str, frozenset[str]] = {
    ROOT: frozenset({ROOT, "cli"}),
    "core": frozenset({"core"}),
    "settings": frozenset({"settings", "core"}),
    "fetching": frozenset({"fetching", "core", "settings"}),
    # from here on with the package itself, which knows its version and where it lies
    **{name: frozenset({ROOT, name, *_MIDDLE}) for name in _UPPER},
    "proxy": frozenset({ROOT, "proxy", *_UPPER, *_MIDDLE}),
    "cli": frozenset({ROOT, "cli", "proxy", *_UPPER, *_MIDDLE}),
}

# Hook code is what only works inside mitmproxy: every module of proxy that imports mitmproxy.
# These two are the doors through which a command starts the proxy.
DOORS = frozenset({"outbounds.proxy.launcher", "outbounds.proxy.service"})

# An allow-list: a module that reads a clock, a file or a socket cannot be here by oversight.
CORE_MAY_IMPORT = frozenset({
    "__future__", "bisect", "collections", "collections.abc", "dataclasses", "enum", "functools",
    "hashlib", "heapq", "idna", "ipaddress", "itertools", "math", "operator", "publicsuffixlist",
    "re", "sys", "typing",
})
CORE_MAY_NOT_CALL = frozenset({
    "open", "print", "input", "exec", "eval", "compile", "__import__", "breakpoint",
    "now", "today", "utcnow", "time", "monotonic", "perf_counter",
})
CORE_MAY_USE_OF_SYS = frozenset({"maxsize"})

MAX_LINES = 300
NO_NAMES = frozenset({"utils", "util", "helpers", "helper", "common", "misc"})

Sources = Mapping[str, str]
"""Path below addons/, with slashes, to source text."""


def read_house() -> Sources:
    return {str(path.relative_to(ADDONS)): path.read_text("utf-8")
            for path in sorted(ADDONS.rglob("*.py"))}


def module_name(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def layer(module: str) -> str | None:
    """The part of the house that a dotted name lies in; None for what is not ours."""
    parts = module.split(".")
    if parts[0] != PACKAGE:
        return None
    return parts[1] if len(parts) > 1 and parts[1] in LAYERS else ROOT


def imports(path: str, tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of everything imported; `from . import a` gives the module a."""
    here = module_name(path).split(".")
    package = here if path.endswith("/__init__.py") else here[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            yield node.lineno, module
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def faults(sources: Sources) -> list[str]:
    trees = {path: ast.parse(text, path) for path, text in sources.items()}
    modules = {module_name(path) for path in sources}
    speaks_mitmproxy = {
        module_name(path) for path, tree in trees.items()
        if any(name.split(".")[0] == "mitmproxy" for _, name in imports(path, tree))}
    found: list[str] = []
    for path, tree in trees.items():
        found += _import_faults(path, tree, modules, speaks_mitmproxy)
        if layer(module_name(path)) == "core":
            found += _purity_faults(path, tree)
        if len(sources[path].splitlines()) > MAX_LINES:
            found.append(f"{path}: has more than {MAX_LINES} lines; it holds more than one idea")
        if Path(path).stem in NO_NAMES:
            found.append(f"{path}: a name that says nothing; name the idea")
    return found


def _import_faults(path: str, tree: ast.AST, modules: set[str],
                   speaks_mitmproxy: set[str]) -> Iterator[str]:
    mine = layer(module_name(path))
    for line, name in imports(path, tree):
        theirs = layer(name)
        if theirs is None:
            if name.split(".")[0] == "mitmproxy" and mine != "proxy":
                yield f"{path}:{line}: imports {name}; only proxy speaks to mitmproxy"
            continue
        if mine is None:  # enforce.py, which mitmproxy loads by its path
            if name not in (PACKAGE, "outbounds.proxy.hooks", "outbounds.proxy.hooks.Outbounds"):
                yield f"{path}:{line}: imports {name}; it only loads the addon"
        elif theirs not in LAYERS[mine]:
            yield f"{path}:{line}: {mine or PACKAGE} may not import {theirs or PACKAGE} ({name})"
        elif mine == "cli" and name in modules & speaks_mitmproxy - DOORS:
            yield f"{path}:{line}: {name} is hook code; a command goes through launcher or service"
    for node in ast.walk(tree):
        # which module that loads is not to be seen here; tables of commands name those of cli
        if isinstance(node, ast.Name) and node.id in ("import_module", "__import__") \
                and path != "outbounds/cli/lazy_group.py":
            yield f"{path}:{node.lineno}: imports by a name made at run time"


def _purity_faults(path: str, tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        else:
            names = []
        for name in names:
            if name not in CORE_MAY_IMPORT and name.split(".")[0] != PACKAGE:
                yield f"{path}:{node.lineno}: core imports {name}; it sees nothing but arguments"
        if isinstance(node, ast.Call):
            function = node.func
            called = function.id if isinstance(function, ast.Name) else \
                function.attr if isinstance(function, ast.Attribute) else ""
            if called in CORE_MAY_NOT_CALL and not _is_method_of_pattern(function):
                yield f"{path}:{node.lineno}: core calls {called}(); what it needs is an argument"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) \
                and node.value.id == "sys" and node.attr not in CORE_MAY_USE_OF_SYS:
            yield f"{path}:{node.lineno}: core reads sys.{node.attr}"


def _is_method_of_pattern(function: ast.expr) -> bool:
    """`re.compile` shares its name with the builtin that makes code."""
    return (isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name)
            and (function.value.id, function.attr) == ("re", "compile"))


# --- the house ----------------------------------------------------------------------------------


def test_the_house_keeps_its_rules() -> None:
    assert faults(read_house()) == []


def test_every_folder_of_the_package_is_a_layer_with_a_rule() -> None:
    folders = {path.parent.name for path in (ADDONS / PACKAGE).glob("*/__init__.py")}
    assert folders == set(LAYERS) - {ROOT}


# --- the checker --------------------------------------------------------------------------------

BAD = [
    # (path, source, what is said)
    ("outbounds/core/a.py", "from ..settings import load", "core may not import settings"),
    ("outbounds/core/a.py", "from outbounds.stores import memory", "core may not import stores"),
    ("outbounds/core/a.py", "from .. import __version__", "core may not import outbounds"),
    ("outbounds/core/a.py", "def f():\n    from ..proxy import dial", "may not import proxy"),
    ("outbounds/core/a.py",
     "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..cli import main",
     "core may not import cli"),
    ("outbounds/settings/a.py", "from ..lists import rules_file", "settings may not import lists"),
    ("outbounds/settings/a.py", "import outbounds.proxy.dial", "settings may not import proxy"),
    ("outbounds/stores/a.py", "from ..identity import basic", "stores may not import identity"),
    ("outbounds/lists/a.py", "from ..stores import memory", "lists may not import stores"),
    ("outbounds/identity/a.py", "from ..evidence import log", "identity may not import evidence"),
    ("outbounds/robotstxt/a.py", "from ..proxy import dial", "robotstxt may not import proxy"),
    ("outbounds/evidence/a.py", "from ..robotstxt import body", "may not import robotstxt"),
    ("outbounds/evidence/a.py", "from .. import proxy", "evidence may not import proxy"),
    ("outbounds/proxy/a.py", "from ..cli import serve", "proxy may not import cli"),
    ("outbounds/__init__.py", "from .core import policy", "outbounds may not import core"),
    ("outbounds/identity/a.py", "import mitmproxy", "only proxy speaks to mitmproxy"),
    ("outbounds/cli/a.py", "from mitmproxy import ctx", "only proxy speaks to mitmproxy"),
    ("outbounds/cli/a.py", "from ..proxy.hooks import Outbounds", "hooks is hook code"),
    ("outbounds/cli/a.py", "from ..proxy import hooks", "hooks is hook code"),
    ("outbounds/cli/a.py", "from importlib import import_module\nimport_module('x')",
     "made at run time"),
    ("outbounds/core/a.py", "__import__('time')", "made at run time"),
    ("enforce.py", "from outbounds.cli import main", "it only loads the addon"),
    ("outbounds/core/a.py", "import time", "core imports time"),
    ("outbounds/core/a.py", "import os.path", "core imports os.path"),
    ("outbounds/core/a.py", "from datetime import datetime", "core imports datetime"),
    ("outbounds/core/a.py", "from pathlib import Path", "core imports pathlib"),
    ("outbounds/core/a.py", "import socket as s", "core imports socket"),
    ("outbounds/core/a.py", "import random", "core imports random"),
    ("outbounds/core/a.py", "import asyncio", "core imports asyncio"),
    ("outbounds/core/a.py", "def f(path):\n    return open(path)", "core calls open()"),
    ("outbounds/core/a.py", "def f(clock):\n    return clock.now()", "core calls now()"),
    ("outbounds/core/a.py", "def f(x):\n    return x.time()", "core calls time()"),
    ("outbounds/core/a.py", "compile('1', '', 'eval')", "core calls compile()"),
    ("outbounds/core/a.py", "import sys\nsys.stdin.read()", "core reads sys.stdin"),
    ("outbounds/core/utils.py", "", "a name that says nothing"),
    ("outbounds/proxy/common.py", "", "a name that says nothing"),
    ("outbounds/proxy/long.py", "x = 1\n" * 301, "more than 300 lines"),
]
HOOKS = {"outbounds/proxy/hooks.py": "from mitmproxy import http"}


@pytest.mark.parametrize(("path", "source", "said"), BAD)
def test_a_broken_rule_is_found(path: str, source: str, said: str) -> None:
    found = faults({**HOOKS, path: source})
    assert any(said in fault and fault.startswith(path) for fault in found), found


GOOD = [
    ("outbounds/core/a.py", "import re\nfrom . import b\nfrom .address import Address\n"
                            "import sys\nre.compile('x')\nsys.maxsize"),
    ("outbounds/settings/a.py", "import time\nfrom ..core import limits\nopen('x')"),
    ("outbounds/proxy/a.py", "import mitmproxy\nfrom .. import __version__\nfrom . import hooks"),
    ("outbounds/cli/a.py", "from ..proxy.service import Service\nfrom ..proxy import dial"),
    ("outbounds/proxy/long.py", "x = 1\n" * 300),
    ("enforce.py", "from outbounds.proxy.hooks import Outbounds"),
]


@pytest.mark.parametrize(("path", "source"), GOOD)
def test_what_is_allowed_is_not_called_a_fault(path: str, source: str) -> None:
    service = {"outbounds/proxy/service.py": "from mitmproxy import ctx"}
    assert faults({**HOOKS, **service, path: source}) == []
