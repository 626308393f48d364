# SPDX-License-Identifier: Apache-2.0
"""From the methods of a revision to its compiled form: `compile_machine(Uacce) -> Specification`.

The layers, each standing on the one before: declarations (kinds and fields), expressions (terms), effects (what a row
changes), steps (where others may run), operations (rows), laws (properties, stated and implied).
"""

from .laws import compile_machine

__all__ = ["compile_machine"]
