"""What every fetch in the proxy's own name needs: connections to vetted addresses, and no others.

Shared by whoever fetches with aiohttp: robots.txt files (`robotstxt`) and lists (`lists.feeds`).
"""

from .connecting import Connected, Pair, one_connection
from .pinned import REDIRECTS, Pinned, check_literal, redirect_target

__all__ = ["REDIRECTS", "Connected", "Pair", "Pinned", "check_literal", "one_connection",
           "redirect_target"]
