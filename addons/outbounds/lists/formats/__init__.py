"""The formats in which lists are published, by the names that destinations.yaml has for them.

README.md in this folder says what an entry of each means and what is unsupported.
"""

from __future__ import annotations
