# SPDX-License-Identifier: Apache-2.0
"""Proofs and counterexamples by z3: for any number of objects, and within a scope.

`prove_inductive` and `prove_bounded` run one engine here and now; `accelspec.model.prove` runs all of them, in
processes that can be killed.
"""

from .bounded import Irreproducible, prove_bounded
from .fragment import cycles
from .induction import prove_inductive
from .k_induction import k_inductive
from .process import WorkerFailed

__all__ = ["Irreproducible", "WorkerFailed", "cycles", "k_inductive", "prove_bounded", "prove_inductive"]
