"""The page that Prometheus reads, served by a thread."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, start_http_server

from ..settings import Settings
from .prerequisites import StartError


def serve_page(registry: CollectorRegistry, settings: Settings) -> Callable[[], None]:
    """Serve /metrics where the settings say; returns what stops it. Raises StartError."""
    place = settings.service.metrics
    try:
        server, thread = start_http_server(place.port, place.host, registry)
    except OSError as error:
        raise StartError(f"{settings.folder}/outbounds.yaml: metrics: cannot listen on "
                         f"{place.host}:{place.port}: {error.strerror}; choose a free port "
                         "(0 takes any)") from error

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join(2.0)

    return stop
