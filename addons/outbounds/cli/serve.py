"""`outbounds serve`: the proxy, and on a first run an account to try it with."""

from __future__ import annotations

import asyncio
import shlex
import shutil
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click

from ..identity.accounts_file import AccountsFileError
from ..identity.first_run import create_first_account
from ..proxy.certificate_authority import ca_folder
from ..proxy.log_lines import set_up_logging
from ..proxy.prerequisites import Prerequisites, StartError
from ..proxy.workers import Place
from ..settings import SettingsError
from ..settings.service import Listen
from .config_option import config_option

MOST_WORKERS = 64


def _place(_: click.Context, param: click.Parameter, value: str | None) -> Place | None:
    try:
        return None if value is None else Place.parse(value)
    except ValueError as error:
        raise click.BadParameter(str(error), param=param) from None


@click.command()
@config_option
@click.option("--port", type=click.IntRange(0, 65535), metavar="PORT",
              help="Listen on this port instead of the first listener's.")
@click.option("--workers", type=click.IntRange(1, MOST_WORKERS), default=1, show_default=True,
              metavar="N", help="Processes that share the ports and the limits; one for each "
                                "processor core that the proxy may have.")
@click.option("--set", "options", multiple=True, metavar="NAME=VALUE",
              help="An option of mitmproxy, such as ssl_verify_upstream_trusted_ca=FILE.")
@click.option("--verbose", is_flag=True, help="Log connections, too.")
# how the supervisor of several workers starts each of them
@click.option("--worker", "place", callback=_place, hidden=True)
@click.option("--listen", "places", multiple=True, hidden=True)
@click.option("--limits-table", "table", type=int, default=-1, hidden=True)
def serve(config_dir: Path, port: int | None, workers: int, options: tuple[str, ...],
          verbose: bool, place: Place | None, places: tuple[str, ...], table: int) -> None:
    """Run the proxy until SIGTERM or Ctrl-C.

    What is under way may then finish, for 10 seconds; a second signal ends it at once.

    A configuration that cannot be used is not started: every fault is printed, and the exit
    status is 1.
    """
    set_up_logging(verbose, place)
    try:
        if place is not None:
            code = _work(config_dir, place, places, table, options)
        else:
            found = Prerequisites.load(config_dir)
            if not found.settings.identity.htpasswd:
                _first_run(found, port)
            listeners = _on_port(found.settings.service.listen, port)
            code = (_alone(found, listeners, options) if workers == 1 else
                    _supervise(found, workers, listeners, options, verbose))
    except (SettingsError, StartError, AccountsFileError) as error:
        click.echo(str(error), err=True)
        raise click.exceptions.Exit(1) from None
    sys.exit(code)


# mitmproxy is imported where it is needed: the supervisor of several workers does without it


def _alone(found: Prerequisites, listeners: Sequence[Listen], options: tuple[str, ...]) -> int:
    from ..proxy.launcher import run
    from ..proxy.service import Service

    service = Service(found.settings, found.accounts, found.htpasswd)
    return asyncio.run(run(service, listeners, set_options=options))


def _work(config_dir: Path, place: Place, places: tuple[str, ...], table: int,
          options: tuple[str, ...]) -> int:
    """One of several workers: standard input is the way to the supervisor."""
    from ..proxy.launcher import run
    from ..proxy.service import Service
    from ..proxy.workers.link import Link

    try:
        end = socket.socket(fileno=0)
    except OSError:
        raise click.UsageError("--worker is for the supervisor; use --workers N") from None
    service = Service.load(config_dir, Link(place, end, table))
    # not those of the file: it may have been changed since the supervisor took the ports
    return asyncio.run(run(service, [_listener(each) for each in places], set_options=options))


def _listener(text: str) -> Listen:
    mode, _, place = text.partition("@")
    host, _, port = place.rpartition(":")
    return Listen.model_validate({"mode": mode, "host": host, "port": int(port)})


def _supervise(found: Prerequisites, workers: int, listeners: Sequence[Listen],
               options: tuple[str, ...], verbose: bool) -> int:
    from ..proxy.workers.supervisor import Supervisor

    found.accounts.close()
    settings = found.settings

    def words(place: Place, listeners: Sequence[Listen], table: int) -> list[str]:
        return ["serve", "--config", str(settings.folder), "--worker", str(place),
                *(f"--listen={each.mode}@{each.host}:{each.port}" for each in listeners),
                f"--limits-table={table}",
                *(f"--set={each}" for each in options), *(["--verbose"] if verbose else [])]

    async def supervise() -> int:
        return await Supervisor(settings, workers, words, listeners).run()

    try:
        return asyncio.run(supervise())
    except OSError as error:
        raise StartError(str(error)) from error


def _on_port(listeners: Sequence[Listen], port: int | None) -> list[Listen]:
    """`port` overrides that of the first."""
    first, *others = listeners
    return [first if port is None else first.model_copy(update={"port": port}), *others]


def _first_run(found: Prerequisites, port: int | None) -> None:
    made = create_first_account(found.accounts, time.time())
    if made is None:
        return
    account, password = made
    settings = found.settings.service
    listen = next((each for each in settings.listen if each.mode == "http"), None)
    certificate = ca_folder(settings.data) / "mitmproxy-ca-cert.pem"
    click.echo(
        f"First run: made the account {account.name!r}. Its password is shown only now:\n\n"
        f"    {password}\n", err=True)
    if listen is not None:
        host = f"[{listen.host}]" if ":" in listen.host else listen.host
        where = f"{host}:{listen.port if port is None else port}"
        proxy = f"http://{account.name}:{password}@{where}"
        click.echo(
            "Try it in another terminal:\n\n"
            f"    curl -x {proxy} http://example.com/\n"
            f"    curl -x {proxy} --cacert {shlex.quote(str(certificate))} https://example.com/\n",
            err=True)
    click.echo(
        f"TLS of this account is opened and inspected (consent recorded: {account.consent}).\n"
        f"Its clients must trust the certificate authority {certificate}\n"
        f"For an account without inspection: {_command()} accounts add NAME "
        f"--config {shlex.quote(str(found.settings.folder))}\n", err=True)


def _command() -> str:
    """How this command can be called again from the same shell."""
    return "outbounds" if shutil.which("outbounds") else sys.argv[0]
