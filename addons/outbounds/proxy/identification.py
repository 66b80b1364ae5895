"""The identifier, put together from Settings."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..core.account import Account
from ..identity.accounts_file import AccountsFile
from ..identity.attempts import AttemptLimits, FailureRate
from ..identity.htpasswd import Htpasswd
from ..identity.networks import NetworkUse
from ..identity.verifier import Identifier
from ..settings.quantity import Rate
from ..settings.service import Identity


def htpasswd_of(settings: Identity) -> Htpasswd:
    """Raises HtpasswdError with every fault of the files."""
    return Htpasswd([(entry.file, entry.plan) for entry in settings.htpasswd])


def make_identifier(
    settings: Identity, accounts: AccountsFile, htpasswd: Htpasswd,
    on_change: Callable[[Account | None, str], None], live: Callable[[], Iterable[str]],
    workers: int = 1,
) -> Identifier:
    """Of several workers each counts failures for itself, and so allows its share of them."""
    return Identifier(
        [accounts, htpasswd],
        limits=AttemptLimits(at_once(settings.failures.per_source, workers),
                             at_once(settings.failures.per_name, workers)),
        networks=NetworkUse(settings.networks.identify, settings.networks.restrict),
        cache_seconds=settings.cache, on_change=on_change, live=live)


def at_once(rate: Rate, workers: int = 1) -> FailureRate:
    """30/min: thirty failures may come at once, then one every two seconds; over all workers, but
    at least one at once in each."""
    return FailureRate(max(1, rate.count // workers), workers * rate.window / rate.count)
