"""Walk every interleaving of a trade's messages between two honest ledgers: scripts/torture interleave [--messages N].

Seven messages of all acts take about half a minute, each more about six times as long. The walk itself, and what it
searches for, is in tests/interleavings.py. Ends with 1 and says where at the first message that is refused for good,
cannot be delivered, or leaves the two sides apart.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from interleavings import Explorer


def main() -> int:
    """Explore, and print the figures as a line for people or as one JSON object."""
    parser = argparse.ArgumentParser(prog="scripts/torture interleave", description=__doc__)
    parser.add_argument("--messages", type=int, default=7, help="documents, with the passing of deadlines as one")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    explorer, began = Explorer(), time.perf_counter()
    try:
        explorer.explore(options.messages)
    except AssertionError as error:
        print(f"found: {error}", file=sys.stderr)
        return 1
    figures = {
        "messages": options.messages,
        "situations": explorer.situations,
        "steps": explorer.steps,
        "ledgers": len(explorer.threads),
        "ends": len(explorer.ends),
        "seconds": round(time.perf_counter() - began, 1),
    }
    if options.json:
        print(json.dumps(figures))
    else:
        print(", ".join(f"{value} {name}" for name, value in figures.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
