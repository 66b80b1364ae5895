"""Policy from disk, at start and whenever the files change.

A change is live within two seconds and drops no connection: decisions read the policy afresh for
each request. A change that cannot be used leaves the last good policy in force, is said once in
the log with every fault, and stays visible on the metrics page until it is mended.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from ..identity.htpasswd import HtpasswdError
from ..lists.rules_file import parse_rules
from ..settings import Settings, SettingsError, fingerprint, load
from .metrics import Metrics
from .robots_engine import need_engine

logger = logging.getLogger("outbounds")

EVERY = 0.5  # seconds between two looks at the files


def read_settings(config_dir: Path) -> Settings:
    """Raises SettingsError with every fault, of what the files ask for as well."""
    settings = load(config_dir, parse_rules)
    need_engine(settings)
    return settings


class Reloader:
    """Watches the files of `settings` and calls `adopt` with what they say after a change.

    `adopt` returns whether the settings are in force, or wait for a list to be built.
    """

    def __init__(self, settings: Settings, adopt: Callable[[Settings], Awaitable[bool]],
                 metrics: Metrics) -> None:
        self._folder = settings.folder
        self._files: Iterable[Path] = settings.files
        self._stale_at = settings.stale_at
        self._version = settings.policy.version
        self._adopt = adopt
        self._metrics = metrics
        self._seen = fingerprint(self._folder, self._files)
        metrics.reload_failed.set(0)

    async def watch(self) -> None:
        """Until cancelled. Nothing that goes wrong here ends it."""
        while True:
            await asyncio.sleep(EVERY)
            try:
                await self._look()
            except Exception as fault:
                self._metrics.faults.labels("reload").inc()
                self._metrics.reload_failed.set(1)
                logger.error("Fault while reloading; the last good policy stays in force.",
                             exc_info=fault)

    async def _look(self) -> None:
        now = fingerprint(self._folder, self._files)
        if now == self._seen and time.time() < self._stale_at:
            return
        self._seen = now
        try:
            # in a thread: reading YAML takes about 0.1 s, and requests must not wait for it
            settings = await asyncio.to_thread(read_settings, self._folder)
            in_force = await self._adopt(settings)
        except (SettingsError, HtpasswdError) as error:
            if isinstance(error, SettingsError):
                self._files = error.files or self._files
            self._seen = fingerprint(self._folder, self._files)
            self._metrics.reload_failed.set(1)
            self._metrics.reloads.labels("failed").inc()
            logger.error("The configuration was changed and cannot be used; policy %s stays in "
                         "force.\n%s", self._version[:12], error)
            return
        self._files, self._stale_at = settings.files, settings.stale_at
        self._metrics.reload_failed.set(0)
        self._metrics.reloads.labels("done").inc()
        if in_force and settings.policy.version != self._version:
            logger.info("Policy %s is in force; before it was %s.",
                        settings.policy.version[:12], self._version[:12])
        self._version = settings.policy.version
