# SPDX-License-Identifier: Apache-2.0
"""Proofs and counterexamples by z3: for any number of objects, and within a scope."""

from .fragment import cycles
from .induction import prove_inductive

__all__ = ["cycles", "prove_inductive"]
