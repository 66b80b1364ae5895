"""The compiled lists and the closed targets as they lie on disk, for whoever asks once: commands,
not the proxy."""

from __future__ import annotations

from dataclasses import replace

from ..settings import Settings
from .closed_file import closed_path, read_closed
from .compiled import Generation
from .places import Places


def with_lists_in_force(settings: Settings) -> Settings:
    """The settings with the generation in force; lists that it lacks are unusable, as they are
    for a proxy that starts now. Raises BadGeneration."""
    if not settings.sources:
        return settings
    folder = Places.below(settings.service.data).generation()
    terms = {source.id: source.terms for source in settings.sources}
    generation = Generation.open(folder, terms) if folder is not None else None
    there = generation.lists if generation is not None else {}
    return settings.with_compiled(generation, [id for id in terms if id not in there])


def with_closed(settings: Settings) -> Settings:
    """The settings with the targets that are closed. Raises ClosedFileError."""
    closed = read_closed(closed_path(settings.service.data))
    return replace(settings, policy=replace(settings.policy, closed=closed))
