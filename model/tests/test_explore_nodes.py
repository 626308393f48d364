# SPDX-License-Identifier: Apache-2.0
"""Simplified nodes mean what the unsimplified ones do, on every valuation."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from accelspec.model.explore.nodes import Algebra, Node

OBJECTS, DOMAINS, BOOLS = (0, 0, 1, 1, 2), (range(3), range(2), range(3), range(2), range(2, 5)), (0, 1, 0, 1, 0)
CELLS = range(len(OBJECTS))


def meaning(x: Node, cells: tuple[int, ...]) -> int:
    args = [meaning(y, cells) for y in x.args]
    match x.op:
        case "const":
            return x.value
        case "cell":
            return cells[x.value]
        case "and":
            return int(all(args))
        case "not":
            return 1 - args[0]
        case "eq":
            return int(args[0] == args[1])
        case "le":
            return int(args[0] <= args[1])
        case "add":
            return args[0] + args[1]
        case "ite":
            return args[1] if args[0] else args[2]
    return args[1 + args[0]]


@st.composite
def terms(draw: st.DrawFn, boolean: bool, depth: int) -> tuple[object, ...]:
    """An expression as nested tuples, to be built by the algebra and to be evaluated directly."""
    number = terms(False, depth - 1)
    truth = terms(True, depth - 1)
    leaf = depth == 0
    if boolean:
        op = draw(
            st.sampled_from(["cell"] if leaf else ["cell", "all_of", "any_of", "negate", "eq", "le", "ite", "iff"])
        )
        match op:
            case "cell":
                return ("cell", draw(st.sampled_from([1, 3])))
            case "all_of" | "any_of":
                return (op, *draw(st.lists(truth, min_size=0, max_size=3)))
            case "negate":
                return (op, draw(truth))
            case "ite":
                return (op, draw(truth), draw(truth), draw(truth))
            case "iff":
                return ("eq", draw(truth), draw(truth))
        return (op, draw(number), draw(number))
    op = draw(st.sampled_from(["cell", "const"] if leaf else ["cell", "const", "ite", "add", "pick"]))
    match op:
        case "cell":
            return ("cell", draw(st.sampled_from([0, 2, 4])))
        case "const":
            return ("const", draw(st.integers(0, 4)))
        case "ite":
            return (op, draw(truth), draw(number), draw(number))
        case "pick":
            return (op, ("cell", draw(st.sampled_from([0, 2]))), draw(number), draw(number), draw(number))
    return (op, draw(number), draw(number))


def build(a: Algebra, t: tuple[object, ...]) -> Node:
    op, args = t[0], [build(a, x) for x in t[1:] if isinstance(x, tuple)]
    number = t[1] if len(t) > 1 and isinstance(t[1], int) else 0
    match op:
        case "cell":
            return a.cell(number)
        case "const":
            return a.const(number)
        case "all_of":
            return a.all_of(args)
        case "any_of":
            return a.any_of(args)
        case "negate":
            return a.negate(args[0])
        case "ite":
            return a.ite(*args)
        case "add":
            return a.add(*args)
        case "pick":
            return a.pick(args[0], args[1:])
    return a.compare(str(op), *args)


def direct(t: tuple[object, ...], cells: tuple[int, ...]) -> int:
    op, args = t[0], [direct(x, cells) for x in t[1:] if isinstance(x, tuple)]
    number = t[1] if len(t) > 1 and isinstance(t[1], int) else 0
    match op:
        case "cell":
            return cells[number]
        case "const":
            return number
        case "all_of":
            return int(all(args))
        case "any_of":
            return int(any(args))
        case "negate":
            return 1 - args[0]
        case "eq":
            return int(args[0] == args[1])
        case "le":
            return int(args[0] <= args[1])
        case "ite":
            return args[1] if args[0] else args[2]
        case "add":
            return args[0] + args[1]
    return args[1 + args[0]]


@settings(max_examples=400)
@given(st.booleans().flatmap(lambda b: terms(b, 3)), st.data())
def test_simplification_keeps_the_meaning(t: tuple[object, ...], data: st.DataObject) -> None:
    a = Algebra(OBJECTS, DOMAINS, [bool(b) for b in BOOLS])
    x = build(a, t)
    cell = data.draw(st.sampled_from(CELLS))
    value = data.draw(st.sampled_from(DOMAINS[cell]))
    known = a.assume(x, cell, value)
    for cells in itertools.product(*DOMAINS):
        assert meaning(x, cells) == direct(t, cells)
        if cells[cell] == value:
            assert meaning(known, cells) == direct(t, cells)
    assert cell not in known.cells


@settings(max_examples=200)
@given(terms(True, 3))
def test_conditions_are_made_of_conditions_on_one_object(t: tuple[object, ...]) -> None:
    a = Algebra(OBJECTS, DOMAINS, [bool(b) for b in BOOLS])
    todo = [build(a, t)]
    while todo:
        x = todo.pop()
        if len(a.objects_of(x)) > 1:
            assert x.op in ("and", "not")
            todo += x.args
