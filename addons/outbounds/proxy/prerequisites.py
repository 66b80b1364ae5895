"""What must be right before anything is started: the configuration, and what it points to.

Apart from the service, because the supervisor of several workers checks it too, and loads no
mitmproxy.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..identity.accounts_file import AccountsFile, AccountsFileError
from ..identity.htpasswd import Htpasswd, HtpasswdError
from ..settings import Settings
from .descriptors import make_room
from .identification import htpasswd_of
from .reload import read_settings


class StartError(RuntimeError):
    """The service cannot start. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Prerequisites:
    settings: Settings
    accounts: AccountsFile
    htpasswd: Htpasswd

    @classmethod
    def load(cls, config_dir: Path) -> Prerequisites:
        """Raises SettingsError with every fault of the files, StartError for what they point to."""
        settings = read_settings(config_dir)
        make_room(settings.service.clients.connections.total)
        try:
            settings.service.data.mkdir(mode=0o700, parents=True, exist_ok=True)
            accounts = AccountsFile(settings.identity.accounts)
            htpasswd = htpasswd_of(settings.identity)
        except (AccountsFileError, HtpasswdError, OSError) as error:
            raise StartError(str(error)) from error
        return cls(settings, accounts, htpasswd)
