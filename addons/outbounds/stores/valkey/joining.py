"""Coming to a server: connect, say who we are, bring the function, take a name.

What goes wrong here is said with its fix, since this is where an operator's mistakes show.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import hiredis

from .address import Address
from .function import Function
from .link import Link, LinkLost

logger = logging.getLogger(__name__)

# Error codes by which a server says that it is of no use at the moment, whatever it is asked, and
# what to do about those that time does not mend.
OF_NO_USE = {
    "READONLY": "it is a replica; name the primary in store.url",
    "MOVED": "it is a node of a cluster that does not keep our keys; name the one that does "
             "(CLUSTER KEYSLOT of the namespace in braces) in store.url",
    "CLUSTERDOWN": "its cluster is down",
    "LOADING": "it is still loading its data",
    "MASTERDOWN": "it is a replica that lost its primary",
    "BUSY": "another client's script keeps it busy",
    "MISCONF": "it cannot save its data and takes no writes; see its log",
    "NOREPLICAS": "it has too few replicas to take writes",
    "NOAUTH": "it wants a password; put it into a file, and name that as store.password_file",
    "WRONGPASS": "it does not know this user and password; mend store.password_file, or the user "
                 "in store.url",
    "NOPERM": "this user may not do what is needed; allow it +fcall +function|load +info +scan "
              "+select +time and the commands of the function, on the keys of store.namespace",
}


class CannotJoin(ConnectionError):
    """With what to do about it."""


def fault_of(reply: Exception) -> str:
    """A reply that is an error, in words and with its fix. Errors of AUTH hold no secret."""
    text = str(reply)
    code = text.partition(" ")[0]
    if code in OF_NO_USE:
        return OF_NO_USE[code]
    if "unknown command" in text and ("FCALL" in text or "FUNCTION" in text):
        return "it knows no functions; use Valkey, or Redis 7.0 or later"
    return f"it said {text!r}"


async def connect(address: Address, on_lost: Callable[[Link, str], None]) -> Link:
    """A connection that is authenticated and has chosen its database. Raises OSError (of which
    ssl.SSLError and LinkLost are), CannotJoin, ValueError."""
    password = address.password()
    loop = asyncio.get_running_loop()
    _, link = await loop.create_connection(
        lambda: Link(on_lost), sock=await _dial(address), ssl=address.context(),
        server_hostname=address.host if address.tls else None)
    try:
        if password or address.user:
            user = (address.user,) if address.user else ()
            await link.ask("AUTH", *user, password)
        if address.database:
            await link.ask("SELECT", address.database)
    except hiredis.ReplyError as error:
        said = fault_of(error)
        if "without any password" in str(error):
            said = "it has no password, and store.password_file names one; leave that out"
        link.end(said)
        raise CannotJoin(said) from None
    except BaseException:
        link.end("the connection was given up")
        raise
    return link


async def _dial(address: Address) -> socket.socket:
    """A socket that is connected to the server. Raises OSError.

    By hand: in a proxy the loop's own look-up and connection are for targets, vetted, and refuse
    whatever no request asked for; this server is the operator's choice.
    """
    loop = asyncio.get_running_loop()
    last: OSError = OSError(f"{address.host} has no address")
    for family, kind, proto, _, where in await asyncio.to_thread(
            socket.getaddrinfo, address.host, address.port, type=socket.SOCK_STREAM):
        sock = socket.socket(family, kind, proto)
        try:
            sock.setblocking(False)
            await loop.sock_connect(sock, where)
            return sock
        except OSError as error:
            sock.close()
            last = error
        except BaseException:
            sock.close()
            raise
    raise last


async def beat(link: Link, function: Function, beats: bytes, name: bytes,
               former: bytes = b"") -> list[int]:
    """A heartbeat of `name`; `former` is forgotten, with what it held. Loads the function if the
    server has none. Returns [server's µs, living processes, whether it knew `name`]."""
    command = (b"FCALL", function.beat, b"1", beats, name, former)
    try:
        return await _ask(link, *command)
    except hiredis.ReplyError as error:
        if not is_missing(error):
            raise CannotJoin(fault_of(error)) from None
    try:
        await link.ask("FUNCTION", "LOAD", function.source)
    except hiredis.ReplyError as error:
        # another process was a moment faster
        if "already exists" not in str(error):
            raise CannotJoin(fault_of(error)) from None
    try:
        return await _ask(link, *command)
    except hiredis.ReplyError as error:
        raise CannotJoin(fault_of(error)) from None


def is_missing(error: Exception) -> bool:
    return "Function not found" in str(error)


async def _ask(link: Link, *command: bytes) -> list[int]:
    reply: Any = await link.ask(*command)
    if not isinstance(reply, list):
        raise LinkLost("what answers there is neither Valkey nor Redis")
    return reply


async def warn_of_eviction(link: Link) -> None:
    """A server that makes room by dropping keys forgives the debts in them. Every key of ours
    expires, so `volatile-…` drops them just as `allkeys-…` does."""
    with suppress(hiredis.ReplyError):  # INFO is not allowed everywhere, and not needed
        info = await link.ask("INFO", "memory")
        found = dict(line.partition(":")[::2]
                     for line in info.decode("utf-8", "replace").splitlines())
        policy = found.get("maxmemory_policy", "noeviction")
        if policy != "noeviction" and found.get("maxmemory", "0") != "0":
            logger.warning("The limits' server has maxmemory-policy %s: when it is full it drops "
                           "keys, and forgives what was counted under them. Set it to noeviction.",
                           policy)
