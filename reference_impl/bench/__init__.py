# SPDX-License-Identifier: Apache-2.0
"""How fast the reference implementation is: each figure a ratio to bare code, both measured in one run."""
