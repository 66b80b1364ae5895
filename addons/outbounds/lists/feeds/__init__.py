"""Lists that others publish: fetched, kept, and asked for again when they are due.

`fetch` is one download, `state` what is remembered between two, `refresh` decides when to ask and
what an answer, or none, means for the copy that is there.
"""

from .fetch import Fetcher, FetchFailed, Recorder, Resolve
from .refresh import Source, not_due, refresh
from .state import FeedState

__all__ = ["FeedState", "FetchFailed", "Fetcher", "Recorder", "Resolve", "Source",
           "not_due", "refresh"]
