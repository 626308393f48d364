# SPDX-License-Identifier: Apache-2.0
"""`python -m accelspec.reference_impl.bench [NAME]...`: run the benchmarks of these names, by default all."""

import sys

from . import matrix_product, sharing, system_calls

BENCHMARKS = {
    "matrix_product": matrix_product.main,
    "sharing": sharing.main,
    "system_calls": system_calls.main,
}


def main(names: list[str]) -> int:
    """Run them, one after the other; 2 for an unknown name."""
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there is {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    for name in names or BENCHMARKS:
        print(f"{name}:")
        BENCHMARKS[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
