"""Is the log what was signed? Offline, from its files and trusted keys alone.

Every record is hashed again, in order, and the tree grown over it. It is held against every root
that was signed (`signed`: when each segment began, the newest, those that witnesses saw, those that
somebody kept elsewhere). Where they differ, the tiles say which record it is (`walk`). Details are
held against the hashes that their records have of them, sealed files against their checksums
(`stretch`), the index against its own.

What this cannot find: a log that was replaced as a whole by an older state of itself, or written
anew with the stolen key. Only a checkpoint that was kept elsewhere shows that: a witness's, or a
file given with --checkpoint. And a seal is not signed: whoever may write here can remove details
and say there that they were erased. How many were is on record in the log itself, under the act
that erased them, and the report counts them.
"""

from __future__ import annotations

from .report import Finding, Report
from .whole import verify

__all__ = ["Finding", "Report", "verify"]
