# SPDX-License-Identifier: Apache-2.0
"""Where a reader can look a source up: a public cross reference of the kernel."""

from __future__ import annotations

import re

_LINUX = re.compile(
    r"^\[read\] (?P<place>[A-Za-z_]\w*)\b.*? in linux (?P<release>\d+(?:\.\d+)+) (?P<path>[\w./-]+\.[chS])"
)
_CROSS_REFERENCE = "https://elixir.bootlin.com/linux"


def link(source: str) -> str:
    """The address of the function that a source names; empty where there is none.

    >>> link("[read] uacce_fops_open in linux 6.12.117 drivers/misc/uacce/uacce.c: xa_load")
    'https://elixir.bootlin.com/linux/v6.12.117/A/ident/uacce_fops_open'
    >>> link("[deduced] the slot is cleared first")
    ''
    """
    found = _LINUX.match(source)
    return f"{_CROSS_REFERENCE}/v{found['release']}/A/ident/{found['place']}" if found else ""
