"""Custody entries in words, for people."""

from __future__ import annotations

from .custody import Added, Closed, Exported, Held, Line, Noted, Opened, Released, Told


def told(line: Line) -> str:
    """A custody entry in words."""
    content = line.content
    if isinstance(content, Opened):
        return f"opened: {content.title}"
    if isinstance(content, Noted):
        return content.text
    if isinstance(content, Added):
        return (f"searched for: {content.query}; {content.events} events, {content.records} "
                "records were found and added")
    if isinstance(content, Held):
        what = "all items of the case" if content.all_items else " and ".join(
            ([f"account {content.account}"] if content.account else [])
            + ([f"{len(content.events)} events"] if content.events else []))
        return f"ordered to be kept: {what}. {content.reason}"
    if isinstance(content, Released):
        return f"hold {content.hold} released. {content.reason}"
    if isinstance(content, Exported):
        return f"a bundle of {content.records} records was made"
    if isinstance(content, Closed):
        return f"closed. {content.reason}"
    if isinstance(content, Told):
        return content.what
    return "about another account; left out of this bundle"
