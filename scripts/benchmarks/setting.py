"""A configuration to measure with: the shipped one, with limits that refuse nobody."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import bcrypt
from ruamel.yaml import YAML

from outbounds.identity import passwords
from outbounds.identity.accounts_file import AccountsFile

from .running import free_port

SHIPPED = Path(__file__).resolve().parents[2] / "config"
NAME, PASSWORD = "alice", "correct horse battery staple"
# never reached, and what was counted stays: keys whose time has passed would be dropped
AMPLE = {"rate": "1000000/day", "burst": 1_000_000_000}


def edit(path: Path, change: Callable[[Any], None]) -> None:
    yaml = YAML()
    data = yaml.load(path.read_text())
    change(data)
    with path.open("w") as file:
        yaml.dump(data, file)


def configuration(folder: Path, origin_port: int) -> Path:
    """A copy of the shipped configuration: every limit is still asked, none is ever reached; and
    this machine, where the origin is, may be reached at the origin's port."""
    shutil.copytree(SHIPPED, folder, ignore=shutil.ignore_patterns("var"))

    def destinations(data: Any) -> None:
        data["grants"] = [
            {"id": f"origin-v{version}", "network": network, "ports": [origin_port],
             "reason": "the origin of the measurement"}
            for version, network in ((4, "127.0.0.0/8"), (6, "::1/128"))]

    def limits(data: Any) -> None:
        for limit in data["limits"]:
            if limit["unit"] in ("requests", "connections", "refusals"):
                limit.update(AMPLE)

    def service(data: Any) -> None:
        data["metrics"] = {"host": "127.0.0.1", "port": free_port()}
        # all of the load comes from one address
        data["clients"]["connections"]["new_per_source"] = "1000000/s"

    edit(folder / "destinations.yaml", destinations)
    edit(folder / "limits.yaml", limits)
    edit(folder / "protocol.yaml", lambda data: data["ports"].append(origin_port))
    edit(folder / "outbounds.yaml", service)
    return folder


def add_account(config: Path) -> None:
    """The client's account, with an argon2id hash as `outbounds accounts add` makes it."""
    (config / "var").mkdir(mode=0o700)
    with closing(AccountsFile(config / "var" / "accounts.db")) as file:
        file.add(NAME, passwords.hash_password(PASSWORD), now=time.time())


def write_htpasswd(path: Path, cost: int = 10) -> Path:
    """The same account as `htpasswd -B -C cost` writes it."""
    made = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(cost, b"2a")).decode()
    path.write_text(f"{NAME}:{made.replace('$2a$', '$2y$', 1)}\n")
    return path


def use_htpasswd(config: Path, file: Path) -> None:
    """Make `file` the only accounts."""
    edit(config / "identity.yaml",
         lambda data: data.update(htpasswd=[{"file": str(file), "plan": "default"}]))
