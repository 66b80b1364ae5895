"""`outbounds serve`: the proxy, and on a first run an account to try it with."""

from __future__ import annotations

import asyncio
import shlex
import shutil
import sys
import time
from pathlib import Path

import click

from ..identity.accounts_file import AccountsFileError
from ..identity.first_run import create_first_account
from ..proxy.launcher import ca_folder, run, set_up_logging
from ..proxy.service import Service, StartError
from ..settings import SettingsError
from .config_option import config_option


@click.command()
@config_option
@click.option("--port", type=click.IntRange(0, 65535), metavar="PORT",
              help="Listen on this port instead of the first listener's.")
@click.option("--set", "options", multiple=True, metavar="NAME=VALUE",
              help="An option of mitmproxy, such as ssl_verify_upstream_trusted_ca=FILE.")
@click.option("--verbose", is_flag=True, help="Log connections, too.")
def serve(config_dir: Path, port: int | None, options: tuple[str, ...], verbose: bool) -> None:
    """Run the proxy until SIGTERM or Ctrl-C.

    A configuration that cannot be used is not started: every fault is printed, and the exit
    status is 1.
    """
    set_up_logging(verbose)
    try:
        service = Service.load(config_dir)
        if not service.settings.identity.htpasswd:
            _first_run(service, port)
    except (SettingsError, StartError, AccountsFileError) as error:
        click.echo(str(error), err=True)
        raise click.exceptions.Exit(1) from None
    sys.exit(asyncio.run(run(service, set_options=options, port=port)))


def _first_run(service: Service, port: int | None) -> None:
    made = create_first_account(service.accounts, time.time())
    if made is None:
        return
    account, password = made
    settings = service.settings.service
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
        f"--config {shlex.quote(str(service.settings.folder))}\n", err=True)


def _command() -> str:
    """How this command can be called again from the same shell."""
    return "outbounds" if shutil.which("outbounds") else sys.argv[0]
