"""Outbounds: acceptable use, enforced in the path of a forward proxy.

The path of a request::

    proxy/      a mitmproxy event becomes a core.request.Request
    core/       policy.decide: identity, standing, protocol, destination, robots, limits
    evidence/   the opening record is safe on disk in the collector process
    proxy/      the verdict is applied: a reply (proxy/replies), a wait, or the way is free
    proxy/      the dial: only addresses that were vetted, at the moment of dialling
    evidence/   the closing record: outcome, bytes, timings

The layer rule, one way only: `core` imports nothing of ours; `settings` imports core; `fetching`
imports those; `stores`, `lists`, `identity`, `resolver`, `robotstxt` and `evidence` import core,
settings and fetching; `proxy` imports all of these; `cli` imports anything but hook code. `core`
reads no clock, no file and no socket: time is an argument. `tests/test_layers.py` holds the house
to it.
"""

__version__ = "0.1.0"
