"""The house format (`lists.rules_file`) read as a stream, for lists too large for memory.

As strict as in memory: one bad line and none of the list is used.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...core.list_entry import Entry
from ..report import BadList, Report
from ..rules_file import BadRule, parse_rule
from .lines import Batch, Source

_SHOWN = 20  # errors reported at once; of a list of another format every line is one


class Rules:
    def read(self, source: Source, report: Report) -> Iterator[Batch]:
        errors: list[str] = []
        for first, text in source.blocks():
            batch: list[Entry] = []
            for number, line in enumerate(text[:-1].split("\n"), first):
                report.lines += 1
                try:
                    found = parse_rule(line, number)
                except BadRule as bad:
                    report.reject(number, line, "it is no entry of the house format")
                    errors.append(f"{source.name}:{number}: {bad}")
                    continue
                report.kept += len(found)
                report.entries += len(found)
                report.comments += not found
                batch += found
            if len(errors) > _SHOWN:
                break
            yield batch
        if errors:
            more = ["and more"] if len(errors) > _SHOWN else []
            raise BadList("\n".join(errors[:_SHOWN] + more))


RULES = Rules()
