"""Fields by which a customer could write the history of a message's route.

Clauses P-forge and S-forge. Which names count is the operator's choice (config/protocol.yaml,
forged_headers); whether they are refused is for the protocol control, and otherwise they are
removed before the request goes on.
"""

from __future__ import annotations

from mitmproxy import http

from ..settings.rules import ForgedHeaders


class RouteFields:
    def __init__(self, rules: ForgedHeaders) -> None:
        names = [name.lower() for name in rules.names]
        self._names = frozenset(name.encode() for name in names if not name.endswith("*"))
        self._prefixes = tuple(name[:-1].encode() for name in names if name.endswith("*"))

    def found(self, request: http.Request) -> tuple[str, ...]:
        """The names of such fields in this request, in lower case."""
        return tuple(
            lower.decode("ascii", "replace")
            for lower in [name.lower() for name, _ in request.headers.fields]
            if lower in self._names or lower.startswith(self._prefixes))

    def strip(self, request: http.Request, names: tuple[str, ...]) -> None:
        for name in set(names):
            del request.headers[name]
