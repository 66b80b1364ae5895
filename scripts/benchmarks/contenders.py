"""What is compared: mitmproxy as it comes, the same with enforcement, and Squid for orientation."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .setting import SHIPPED
from .tools import find

_MITMDUMP = str(Path(sys.executable).with_name("mitmdump"))
_OUTBOUNDS = str(Path(sys.executable).with_name("outbounds"))
_ADDON = str(SHIPPED.parent / "addons" / "enforce.py")

CONNECTIONS = 32

# It gives up root for its own user, for whom no folder needs to be opened when it writes nothing.
_SQUID = """\
http_port 127.0.0.1:{port}
http_access allow all
cache deny all
access_log none
cache_log /dev/null
cache_store_log none
pid_filename none
coredump_dir none
shutdown_lifetime 0 seconds
workers 1
"""


@dataclass(frozen=True, slots=True)
class Site:
    """Where the settings lie that contenders are started on. `htpasswd` is a bcrypt file."""

    config: Path           # an argon2id account
    bcrypt_config: Path    # the accounts of `htpasswd`
    htpasswd: Path


@dataclass(frozen=True, slots=True)
class Contender:
    """`command(site, folder, port)` starts it on `port`, with `folder` for its run data.

    `connections` load it. Verifying bcrypt on its event loop, stock mitmdump answers nobody before
    it has verified for everybody: one connection keeps its core just as busy, and no burst of
    replies is lost at the end of the run.
    """

    name: str
    command: Callable[[Site, Path, int], list[str]]
    enforces: bool
    connections: int = CONNECTIONS


def _mitmdump(*more: str) -> Callable[[Site, Path, int], list[str]]:
    def command(site: Site, folder: Path, port: int) -> list[str]:
        return [_MITMDUMP, "--mode", f"regular@127.0.0.1:{port}",
                "--set", f"confdir={folder / 'ca'}", *more]
    return command


def _stock_bcrypt(site: Site, folder: Path, port: int) -> list[str]:
    return _mitmdump("--set", f"proxyauth=@{site.htpasswd}")(site, folder, port)


def _enforced(*more: str, bcrypt: bool = False) -> Callable[[Site, Path, int], list[str]]:
    def command(site: Site, folder: Path, port: int) -> list[str]:
        config = _copy(site.bcrypt_config if bcrypt else site.config, folder)
        return _mitmdump("-s", _ADDON, "--set", f"outbounds_config={config}", *more)(
            site, folder, port)
    return command


def served(*more: str, bcrypt: bool = False) -> Callable[[Site, Path, int], list[str]]:
    """`outbounds serve`, with `more` arguments."""
    def command(site: Site, folder: Path, port: int) -> list[str]:
        config = _copy(site.bcrypt_config if bcrypt else site.config, folder)
        return [_OUTBOUNDS, "serve", "--config", str(config), "--port", str(port), *more]
    return command


def _squid(site: Site, folder: Path, port: int) -> list[str]:
    file = folder / "squid.conf"
    file.write_text(_SQUID.format(port=port))
    return [find("squid"), "-N", "-d", "0", "-f", str(file)]


def _copy(config: Path, folder: Path) -> Path:
    return Path(shutil.copytree(config, folder / "config"))


STOCK, QUIET_STOCK = "mitmdump", "mitmdump -q"
ADDON, QUIET_ADDON = "mitmdump -s enforce.py", "mitmdump -q -s enforce.py"
SERVE = "outbounds serve"
STOCK_BCRYPT = "mitmdump proxyauth, bcrypt"
ADDON_BCRYPT, SERVE_BCRYPT = "mitmdump -s enforce.py, bcrypt", "outbounds serve, bcrypt"
SQUID = "squid, no ACLs"

CONTENDERS = (
    Contender(STOCK, _mitmdump(), False),
    Contender(ADDON, _enforced(), True),
    Contender(SERVE, served(), True),
    Contender(QUIET_STOCK, _mitmdump("-q"), False),
    Contender(QUIET_ADDON, _enforced("-q"), True),
    Contender(STOCK_BCRYPT, _stock_bcrypt, False, connections=1),
    Contender(ADDON_BCRYPT, _enforced(bcrypt=True), True),
    Contender(SERVE_BCRYPT, served(bcrypt=True), True),
    Contender(SQUID, _squid, False),
)
