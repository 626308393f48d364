# SPDX-License-Identifier: Apache-2.0
"""A machine whose one law needs two moves of memory: induction with simple lemmas does not prove it."""

from __future__ import annotations

from dataclasses import replace

from accelspec.model.tests import machines
from accelspec.spec.language.answers import Errno
from accelspec.spec.language.specification import Form, Specification
from accelspec.spec.language.terms import TRUE, And, Assign, Field, Not, Or, Read, Var, forall


def rotating() -> Specification:
    """Three flags, two of them set, change places; a bell would ring if all three were ever set.

    That no device has all three is a clause of three literals, which nobody looks for; two moves carry the silence, as
    long as no other device can move in between.
    """
    d = Var("d", machines.DEVICE)
    x, y, z = (Field(f"Device.{n}", (machines.DEVICE,), bool, n != "z") for n in "xyz")
    bell = Field("Device.bell", (machines.DEVICE,), bool, False)
    flags = [Read(f, (d,)) for f in (x, y, z)]
    turn = [Assign(f, (d,), r) for f, r in zip((y, z, x), flags, strict=True)]
    ring = Assign(bell, (d,), Or(Read(bell, (d,)), And(*flags)))
    row = machines.case("turn", "ok", TRUE, Errno.OK, effects=(*turn, ring), params=(machines.given(d),))
    silent = machines.law("turn.I01", Form.ALWAYS, forall([d], Not(Read(bell, (d,)))))
    return replace(machines.devices(), fields=[x, y, z, bell], cases=[row], properties=[silent])
