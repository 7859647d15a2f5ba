"""Run every timed comparison, or the ones named: `python -m benchmarks [forecasters losses …]`."""

import sys
from importlib import import_module
from pathlib import Path

NAMES = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_"))


def main() -> None:
    """Print each benchmark's table; exit 2 on an unknown name."""
    asked = sys.argv[1:] or NAMES
    unknown = [name for name in asked if name not in NAMES]
    if unknown:
        sys.stderr.write(f"benchmarks: unknown: {', '.join(unknown)}; known: {', '.join(NAMES)}\n")
        sys.exit(2)
    for name in asked:
        print(f"\n== {name}", flush=True)
        sys.argv = [f"benchmarks.{name}"]  # a benchmark reads its own options when it is run alone
        import_module(f"benchmarks.{name}").main()


main()
