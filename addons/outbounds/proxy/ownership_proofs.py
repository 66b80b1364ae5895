"""Looking for one proof of ownership: by DNS or in the site's file, and on record before anything
is sent.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from ..core.account import Account, Standing
from ..core.site_claims import Proof, SiteClaim
from ..fetching import Pair
from ..resolver import look_up_texts
from ..robotstxt import Egress
from ..robotstxt.ownership import NotFound, ProofFile
from .own_fetches import OwnFetches
from .recorder import EvidenceUnavailable
from .robots_access import RobotsAccess, user_agent
from .runtime import Runtime

ACTION = "ownership-check"


class OwnershipProofs:
    """Called with a claim: "" if its proof is there, otherwise a sentence. Never raises."""

    def __init__(self, runtime: Runtime, egress: Egress) -> None:
        self._rt = runtime
        self._egress = egress
        self._access = RobotsAccess(runtime.gate.resolver, runtime.recorder, lambda: runtime.gate)
        self._fetches = OwnFetches(runtime.recorder)

    async def __call__(self, claim: SiteClaim) -> str:
        try:
            account = self._account(claim.account)
            if account is None or account.standing is Standing.TERMINATED:
                return "The account no longer exists, or was terminated."
            if claim.proof is Proof.DNS:
                return await self._by_dns(claim)
            return await self._by_file(claim)
        except EvidenceUnavailable:
            return "Nothing was asked: the check cannot be recorded."
        except Exception as fault:
            self._rt.fault("ownership", fault)
            return "A fault of the proxy's; its log has more."

    async def _by_dns(self, claim: SiteClaim) -> str:
        recorder = self._rt.recorder
        record = await recorder.open_bare(
            ACTION, user_id=claim.account, destination_domain=claim.host,
            network_protocol="dns", **self._rt.gate.policy.versions)
        started, failure = time.monotonic(), "broken off"
        try:
            found = await look_up_texts(self._rt.settings.service.dns, claim.txt_name)
            failure = found.detail
            if not failure and claim.txt.encode() not in (text.strip() for text in found.texts):
                failure = f"{claim.txt_name} has no TXT record with the token of this claim."
            return failure
        finally:
            recorder.close(record, time.monotonic() - started, reason=failure,
                           outcome="failure" if failure else "success")

    async def _by_file(self, claim: SiteClaim) -> str:
        settings = self._rt.settings
        file = ProofFile(self, user_agent=user_agent(settings), egress=self._egress,
                         deadline=settings.robots.fetch.timeout)
        try:
            await file.look(claim.host, claim.token, claim.account)
        except NotFound as missing:
            return str(missing)
        return ""

    def _account(self, account_id: str) -> Account | None:
        return self._rt.gate.identifier.current(Account(account_id, ""))

    # --- what the file's fetch needs (`robotstxt.ownership.Access`) -----------------------------

    async def resolve(self, host: str, port: int, account_id: str) -> Sequence[str]:
        """As for a robots.txt; a look that ends here is on record, too."""
        try:
            return await self._access.resolve(host, port, account_id)
        except Exception as error:
            known: dict[str, Any] = {**self._rt.gate.policy.versions, "destination_port": port}
            self._rt.recorder.both(ACTION, reason=str(error), user_id=account_id,
                                   destination_domain=host, verdict="refuse", **known)
            raise

    async def opened(self, *, url: str, account_id: str, addresses: Sequence[str]) -> str:
        """Raises EvidenceUnavailable: then nothing may be sent."""
        return await self._fetches.opened(ACTION, url, addresses, user_id=account_id,
                                          **self._rt.gate.policy.versions)

    def connected(self, record_id: str, egress: Pair, dialled: Pair) -> None:
        self._fetches.connected(record_id, egress, dialled)

    def closed(self, record_id: str, status: int, octets: int, failure: str) -> None:
        self._fetches.closed(record_id, status, octets, failure=bool(failure), reason=failure)
