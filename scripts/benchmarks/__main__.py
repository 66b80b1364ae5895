"""`scripts/bench`: run the parts, print their tables, exit 1 if a measured bound does not hold."""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys

from rich.console import Console

PARTS = ("proxy", "lists", "limits", "robots", "evidence", "evidence_log", "evidence_kill")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description="Measure, and hold the figures against their bounds.")
    parser.add_argument("parts", nargs="*", metavar="PART",
                        help=f"any of {', '.join(PARTS)}; all without one")
    parser.add_argument("--quick", action="store_true",
                        help="fewer and shorter turns: to see that it runs, not for figures")
    options = parser.parse_args()
    parts = options.parts or PARTS
    unknown = set(parts) - set(PARTS)
    if unknown:
        parser.error(f"there is no part {', '.join(sorted(unknown))}; use {', '.join(PARTS)}")
    if len(parts) == 1:
        return one(parts[0], options.quick)
    # each in a process of its own: memory that one part has left behind would be reused by the
    # next, and not be seen
    codes = [subprocess.run([sys.executable, "-P", "-m", __package__, part,
                             *(["--quick"] if options.quick else [])]).returncode
             for part in parts]
    return max(codes)


def one(part: str, quick: bool) -> int:
    console = Console(width=None if sys.stdout.isatty() else 110, highlight=False)
    report = importlib.import_module(f".{part}", __package__).run(quick)
    report.show(console)
    console.print(f"{part}: figures in {report.save()}")
    for name, why in report.missing.items():
        console.print(f"{part}: not measured: {name}: {why}")
    for row in report.broken:
        assert row.bound is not None
        console.print(f"{part}: does not hold: {row.name}: {row.figure:.4g} {row.unit}, must be "
                      f"{row.bound.relation} {row.bound.value:g}", style="red")
    console.print()
    return 1 if report.broken else 0


if __name__ == "__main__":
    sys.exit(main())
