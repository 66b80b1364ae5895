"""How requests in the proxy's own name leave, and whom they believe that a site is what it says:
the same for robots.txt as for traffic."""

from __future__ import annotations

import os
import ssl

from mitmproxy import options

from ..robotstxt import Egress


def sites_context(opts: options.Options) -> ssl.SSLContext:
    """Verifies sites against the system's authorities and those of mitmproxy's options.

    Raises OSError, ssl.SSLError for files that cannot be used.
    """
    context = ssl.create_default_context()
    if opts.ssl_verify_upstream_trusted_ca:
        context.load_verify_locations(os.path.expanduser(opts.ssl_verify_upstream_trusted_ca))
    if opts.ssl_verify_upstream_trusted_confdir:
        context.load_verify_locations(
            capath=os.path.expanduser(opts.ssl_verify_upstream_trusted_confdir))
    if opts.ssl_insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def egress(opts: options.Options) -> Egress:
    """`sites_context`, and the address of mitmproxy's option connect_addr, if it has one. Raises
    what that does."""
    return Egress(sites_context(opts), opts.connect_addr or "")
