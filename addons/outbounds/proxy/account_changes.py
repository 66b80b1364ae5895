"""An account was changed: what is open for it goes on under the new terms, or ends."""

from __future__ import annotations

from mitmproxy import ctx

from ..core.account import Account
from .clients import Clients
from .sever import sever


def follow(clients: Clients, account: Account | None, account_id: str) -> None:
    """Close what is open for an account that may no longer use the service; None: it is gone."""
    connections = ctx.master.addons.get("proxyserver").connections
    for client in clients.of_account(account_id):
        if account is None or not account.standing.may_use:
            standing = account.standing.value if account is not None else "removed"
            client.severed = f"the account was {standing}"
            if client.tunnel is not None:
                client.tunnel.ended = client.severed
            sever(connections, client.id)
        else:
            client.account_is_now(account)
