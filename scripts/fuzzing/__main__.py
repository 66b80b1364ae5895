"""`scripts/fuzz`: try for a while, say what was tried, exit 1 on a finding."""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path

from .running import fuzz

OUT = Path(__file__).resolve().parents[2] / "build" / "fuzz"


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/fuzz", description="Look for input that breaks the reading of robots.txt.")
    parser.add_argument("seconds", nargs="?", type=float, default=60.0, metavar="SECONDS")
    parser.add_argument("--seed", type=int, help="where to begin; a random place without one")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 32)
    print(f"Seed {seed}, {options.seconds:g} s", flush=True)
    result = fuzz(seed, options.seconds)
    print(f"{result.cases} cases, {sum(result.checks.values())} checks: "
          + ", ".join(f"{name} {count}" for name, count in sorted(result.checks.items())))
    for finding in result.findings:
        print(f"\n{finding.invariant}: {finding.what}\n  written to {finding.write(OUT)}")
    print(f"{len(result.findings)} findings")
    return 1 if result.findings else 0


if __name__ == "__main__":
    sys.exit(main())
