# SPDX-License-Identifier: Apache-2.0
"""`python -m accelspec.conformance.bench [NAME]...`: run the benchmarks of these names, by default all."""

from __future__ import annotations

import sys

from . import explore, fuzz, kernel, prove

BENCHMARKS = {"explore": explore.main, "prove": prove.main, "fuzz": fuzz.main, "kernel": kernel.main}


def main(names: list[str]) -> int:
    """Run them, one after the other; 2 for an unknown name."""
    unknown = [n for n in names if n not in BENCHMARKS]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there is {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    for name in names or BENCHMARKS:
        print(f"{name}:")
        BENCHMARKS[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
