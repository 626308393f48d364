# SPDX-License-Identifier: Apache-2.0
"""No engine's word alone: native run, interpreter, z3, explorer and the `transitions` view of uacce, held together.

On samples of steps the moves of a state must be the same for all; in small scopes so must the number of reachable
states, and for one of them there is an enumerator written by hand.  Each comparison is shown to fail once.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache

import pytest
import z3

from accelspec.model.diagrams import ABSENT, Life, lifecycle, state_diagram
from accelspec.model.evaluate import Interpreter
from accelspec.model.explore import GIB, explore
from accelspec.model.explore.graph import state_graph
from accelspec.model.explore.one_state import TableMoves
from accelspec.model.program import Found
from accelspec.model.smt.ground import Ground
from accelspec.model.smt.one_state import SolverMoves
from accelspec.model.tests import hand_written
from accelspec.model.tests.counting import Count, counted
from accelspec.model.tests.native_moves import NativeMoves, Place, Stepped
from accelspec.model.trace import Move, State
from accelspec.model.verdict import Budget
from accelspec.spec.catalogue import MACHINES
from accelspec.spec.language import Specification, compile_machine
from accelspec.spec.language.specification import Case, Role
from accelspec.spec.language.terms import TRUE, members

UACCE = MACHINES["uacce"]
SAMPLES = {  # revision -> scopes of its author
    "6.12.117": ("pieces", "two queues", "isolation"),
    "legacy": ("two queues", "isolation"),
    "intended": ("pieces", "two queues"),
    "v4": ("pieces", "sharing"),
}
FIELD = "Queue.state"
STATES = ("INIT", "STARTED", "ZOMBIE", "CORRUPT")


@cache
def compiled(revision: str) -> Specification:
    return compile_machine(UACCE[revision])


# ---------------------------------------------------------------- a sample of states, with all their moves


@dataclass(frozen=True)
class Point:
    """A state of a walk, and how the native run gets there."""

    place: Place
    moves: tuple[Move, ...]


def sample(machine: Interpreter, seed: int, states: int, depth: int = 25) -> Iterator[Point]:
    """Seeded walks; calls in flight go on half of the time, and rows that were seldom taken come first."""
    chance = random.Random(seed)
    starts = list(machine.initial())
    taken: Counter[str] = Counter()
    while states > 0:
        start = chance.choice(starts)
        place = Place(start, start)
        for _ in range(min(depth, states)):
            moves = tuple(machine.moves(place.state))
            yield Point(place, moves)
            states -= 1
            onward = [m for m in moves if not m.failed and not m.case.crashes and m.after != place.state]
            onward = [m for m in onward if m.case.operation != "exit"] or onward  # not much happens behind it
            if not onward:
                break
            going_on = [m for m in onward if m.case.step]
            among = going_on if going_on and chance.random() < 0.5 else onward
            move = min((chance.choice(among) for _ in range(4)), key=lambda m: taken[m.case.id])
            taken[move.case.id] += 1
            place = place.then(as_stepped(machine, move, place.state), in_flight(machine, move.after))


def in_flight(machine: Interpreter, state: State) -> bool:
    return any(x and f.kind.is_call and f.is_live for x, (f, _) in zip(state, machine.layout.cells, strict=True))


def as_stepped(machine: Interpreter, m: Move, before: State) -> Stepped:
    """A move of the interpreter, said as the native run says it."""
    values = list(zip(m.case.params, m.values, strict=True))
    none = {p: machine.layout.size(p.var.type) for p, _ in values if p.role is Role.CHOSEN}
    return Stepped(
        m.case.operation,
        tuple(x for p, x in values if p.role is Role.GIVEN),
        next((x for p, x in values if p.role is Role.CALL), None),
        tuple(sorted((p.var.name.removesuffix(" fails"), bool(x)) for p, x in values if p.role is Role.FAILS)),
        tuple(None if x == none[p] else x for p, x in values if p.role is Role.CHOSEN),
        "" if m.failed else m.case.row,
        m.case.outcome.name if m.case.outcome and not m.failed else "",
        m.failed[0] if m.failed else "",
        before if m.failed or m.case.crashes else m.after,
    )


# ---------------------------------------------------------------- comparisons: what each says differently


def native_differences(machine: Interpreter, native: NativeMoves, at: Point) -> list[str]:
    """Every move of one is a move of the other.

    The interpreter also counts what is made to fail and never asked for (`found.sva and fails(...)`); where an assert
    fails, the methods ask for nothing behind it.
    """
    mine = [as_stepped(machine, m, at.place.state) for m in at.moves]
    theirs = [s for s, _ in native.moves(at.place)]
    out = [f"only interpreted: {m}" for m in mine if sum(same(m, t) for t in theirs) != 1]
    return out + [f"only run: {t}" for t in theirs if not any(same(m, t) for m in mine)]


def same(mine: Stepped, theirs: Stepped) -> bool:
    if (mine.operation, mine.given, mine.index) != (theirs.operation, theirs.given, theirs.index):
        return False
    asked = dict(mine.asked)
    if theirs.failed:
        answered = all(asked.get(name, x) == x for name, x in theirs.asked)
        return answered and replace(mine, asked=(), picks=()) == replace(theirs, asked=(), picks=())
    answered = all(asked.get(name) is x for name, x in theirs.asked)
    return answered and replace(mine, asked=()) == replace(theirs, asked=())


def moves_differ(machine: Interpreter, found: Callable[[State], set[Found]], at: Point) -> list[str]:
    """Case, parameters, next state, and the first check that fails."""
    mine = {(n, values, after, failed[:1]) for n, values, after, failed in machine.found(at.place.state)}
    theirs = found(at.place.state)
    cases = machine.spec.cases
    return [f"{cases[n].id}{values}" for n, values, *_ in mine ^ theirs]


def view_differences(machine: Interpreter, life: Life, at: Point) -> list[str]:
    """Every queue goes where the view allows it, in every move from the state."""
    out = []
    for m in at.moves:
        if m.failed or m.case.crashes:
            continue
        for q in range(machine.scope["Queue"]):
            before, after = where(machine, at.place.state, q), where(machine, m.after, q)
            life.put(before)
            if not life.trigger(m.case.id, to=after) or life.state != after:
                out.append(f"{m.case.id}: {before} -> {after}")
    return out


def where(machine: Interpreter, state: State, queue: int) -> str:
    if not machine.value(state, "Queue.live", queue):
        return ABSENT
    f = machine.layout.fields[FIELD]
    assert isinstance(f.type, type)
    return str(members(f.type)[machine.value(state, f, queue)].name)


def changes_of_cases(spec: Specification) -> set[tuple[str, str, str]]:
    """Row, state before, state after: what the cases can do to a queue in any state at all, as z3 finds it."""
    ground = Ground(spec, {**dict.fromkeys((k.name for k in spec.kinds), 1), "Fd": 2, "Process": 2})
    k, layout = ground.scalars, ground.layout
    f = layout.fields[FIELD]
    assert isinstance(f.type, type)
    cells = [layout.at(layout.fields["Queue.live"], (0,)), layout.at(f, (0,))]
    names = [m.name for m in members(f.type)]
    out: set[tuple[str, str, str]] = set()
    for case in spec.cases:
        step = ground.step(case)
        if case.crashes or not set(cells) & set(step.writes):
            continue
        ends = [
            (ground.now[c], k.expression(step.writes.get(c, ground.now[c]), layout.cells[c][0].type)) for c in cells
        ]
        solver = z3.SolverFor("QF_FD", ctx=k.context)
        solver.add(*ground.states(ground.now))
        live, state = (ground.now[c] for c in cells)
        solver.add(z3.Or(live, state == ground.blank(f)))  # what does not exist is blank
        solver.add(*(k.expression(x) for x in (step.taken, *(x for _, x in step.checks))))
        while solver.check() == z3.sat:
            model = solver.model()
            (was, live), (before, after) = (
                tuple(k.stored(model, x, layout.cells[c][0].type) for x in pair)
                for c, pair in zip(cells, ends, strict=True)
            )
            out.add((case.id, names[before] if was else ABSENT, names[after] if live else ABSENT))
            solver.add(z3.Not(z3.And([x == model.eval(x, True) for pair in ends for x in pair])))
    return {(row, a, b) for row, a, b in out if a != b}


def changes_of_view(spec: Specification) -> set[tuple[str, str, str]]:
    """The same, as the view has it."""
    return {(row, a, b) for (a, b), rows in state_diagram(spec, FIELD).changes().items() for row in rows}


# ---------------------------------------------------------------- every step of a random sample


@pytest.mark.parametrize("revision", SAMPLES)
def test_all_agree_on_every_step_of_a_sample(revision: str) -> None:
    spec, life = compiled(revision), lifecycle(compiled(revision), FIELD)
    steps, rows = 0, set()
    for name in SAMPLES[revision]:
        machine = Interpreter(
            spec, {**spec.scopes[name], "Waiter": 1, "Message": 1}
        )  # room, so that no assert is hidden
        native = NativeMoves(UACCE[revision], spec, machine.scope)
        tables, solver = TableMoves(machine), SolverMoves(spec, machine.scope)
        for at in sample(machine, seed=17, states=18):
            assert not native_differences(machine, native, at)
            assert not moves_differ(machine, tables.found, at)
            assert not moves_differ(machine, solver.found, at)
            assert not view_differences(machine, life, at)
            steps += len(at.moves)
            rows |= {m.case.id for m in at.moves}
    assert steps >= 500
    assert len(rows) >= len(spec.rows()) / 3


# What the form of a row does not rule out, though no case makes it: the mapping that mmap.ok has just made holds the
# description, so its fdput frees nothing; `occupied` answers EBUSY to a mapping before the first region but in INIT.
BY_FORM_ALONE = {
    **{r: {("mmap.ok", s, ABSENT) for s in STATES} for r in ("6.12.117", "legacy")},
    "v4": {("mmap.state_overwritten", s, "CORRUPT") for s in ("STARTED", "ZOMBIE")},
}


@pytest.mark.parametrize("revision", SAMPLES)
def test_the_view_has_the_changes_that_some_case_makes_and_no_other(revision: str) -> None:
    of_view, of_cases = changes_of_view(compiled(revision)), changes_of_cases(compiled(revision))
    assert not of_cases - of_view
    assert of_view - of_cases == BY_FORM_ALONE.get(revision, set())


# ---------------------------------------------------------------- the number of reachable states


def calls(spec: Specification, **in_flight: int) -> dict[str, int]:
    """So many calls in flight of these operations, and none of others."""
    return {k.name: in_flight.get(k.name.removesuffix("()"), 0) for k in spec.kinds if k.is_call}


HERE = {"Qm": 0, "Waiter": 0, "Message": 0}
ONE_OPEN = {**HERE, "Vma": 0, "Mm": 2}, {"open": 1}
ERRORS = {**HERE, "Vma": 0, "Qm": 1}, {"open": 1}
OPEN_AND_REMOVE = {**HERE, "Vma": 0, "Waiter": 1}, {"open": 1, "remove": 1}
OPEN_AND_MMAP = HERE, {"open": 1, "mmap": 1}
BY_HAND = HERE, {"open": 1, "mmap": 1, "remove": 1}  # the scope of hand_written

SmallScope = tuple[dict[str, int], dict[str, int]]


def small(spec: Specification, scope: SmallScope) -> Interpreter:
    """One object of every kind, but for the sizes that are named."""
    return Interpreter(spec, {**scope[0], **calls(spec, **scope[1])})


# revision, scope, what there is, moves: as calls, but what is made to fail and never asked for counts, too
NUMBERS: dict[str, tuple[str, SmallScope, Count, int]] = {
    "6.12.117, one open": ("6.12.117", ONE_OPEN, Count(88, 236, 1720), 1732),
    "6.12.117, errors": ("6.12.117", ERRORS, Count(387, 1248, 12306), 12351),
    "6.12.117, open and remove": ("6.12.117", OPEN_AND_REMOVE, Count(272, 751, 5284), 5308),
    "legacy, one open": ("legacy", ONE_OPEN, Count(120, 332, 2424), 2436),
    "legacy, open and remove": ("legacy", OPEN_AND_REMOVE, Count(357, 1002, 7020), 7059),
    "intended, one open": ("intended", ONE_OPEN, Count(92, 244, 2068), 2080),
    "intended, open and mmap": ("intended", OPEN_AND_MMAP, Count(614, 2577, 18400), 18622),
}
LARGER: dict[str, tuple[str, SmallScope, Count, int]] = {
    "6.12.117, by hand": ("6.12.117", BY_HAND, Count(2300, 6977, 48362), 48440),
    "v4, errors": ("v4", ERRORS, Count(2544, 5196, 27236), 28304),
}


def interpreted(machine: Interpreter) -> Count:
    def moves(s: State) -> Iterator[tuple[object, str, State]]:
        for m in machine.moves(s):
            t = as_stepped(machine, m, s)
            yield (t.operation, t.given, t.index), t.failed or t.row, t.after

    return counted(machine.initial(), moves)


def run_natively(revision: str, machine: Interpreter) -> Count:
    native = NativeMoves(UACCE[revision], machine.spec, machine.scope)
    return counted(machine.initial(), native.calls_from)


def explored(machine: Interpreter, engine: str = "numpy") -> tuple[int, int, int]:
    """States, arcs and moves."""
    e = explore(machine.spec, machine.scope, engine=engine)
    graph = state_graph(machine, Budget(), GIB, engine)
    assert e.engine == f"explore:{engine}"
    arcs = {(a, b) for a, b in zip(graph.source.tolist(), graph.target.tolist(), strict=True) if b >= 0}
    return e.states, len(arcs), e.transitions


@pytest.mark.parametrize("name", NUMBERS)
def test_all_count_the_same(name: str) -> None:
    revision, scope, count, moves = NUMBERS[name]
    machine = small(compiled(revision), scope)
    assert explored(machine) == explored(machine, "plain") == (count.states, count.arcs, moves)
    assert interpreted(machine) == run_natively(revision, machine) == count


@pytest.mark.parametrize("name", LARGER)
def test_explorer_and_interpreter_count_the_same(name: str) -> None:
    revision, scope, count, moves = LARGER[name]
    machine = small(compiled(revision), scope)
    assert explored(machine) == (count.states, count.arcs, moves)
    assert interpreted(machine) == count


# Calls that meet a failing assert before they need an object, or a call in flight, that the scope has no room for: the
# methods get as far as the assert (poll: 252, task_work: 144), the compiled form does not offer the call.
NO_ROOM = {"v4, errors": 396}


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGER)
def test_the_native_run_counts_the_same(name: str) -> None:
    revision, scope, count, _ = LARGER[name]
    count = replace(count, calls=count.calls + NO_ROOM.get(name, 0))
    assert run_natively(revision, small(compiled(revision), scope)) == count


def test_the_enumerator_written_by_hand_counts_the_same() -> None:
    _, _, count, _ = LARGER["6.12.117, by hand"]
    assert counted([hand_written.State()], hand_written.moves) == count


# ---------------------------------------------------------------- each comparison fails where something is wrong


def changed(spec: Specification, row: str, change: Callable[[Case], Case]) -> Specification:
    """The specification with the cases of one row changed."""
    cases = [change(c) if c.id == row else c for c in spec.cases]
    assert cases != spec.cases
    return replace(spec, cases=cases)


def without_effect(field: str) -> Callable[[Case], Case]:
    return lambda c: replace(c, effects=tuple(a for a in c.effects if a.field.name != field))


def without_guard(c: Case) -> Case:
    return replace(c, guard=TRUE)


WRONG: dict[str, tuple[str, Callable[[Case], Case]]] = {
    "an effect is missing": ("put_q.ok", without_effect(FIELD)),
    "a hardware queue stays": ("close.ok", without_effect("Queue.live")),
    "a guard is missing": ("start.not_init", without_guard),
    "a lock is kept": ("open.no_memory", without_effect("Process.busy")),
}


@pytest.fixture(scope="module")
def points() -> tuple[Interpreter, list[Point]]:
    """A sample of 6.12.117 as it is."""
    spec = compiled("6.12.117")
    machine = Interpreter(spec, {**HERE, "Vma": 0, **calls(spec, open=1)})
    return machine, list(sample(machine, seed=3, states=60))


def first(points: list[Point], differences: Callable[[Point], list[str]]) -> str:
    """What is noticed first."""
    return next((d for p in points for d in differences(p)), "")


@pytest.mark.parametrize("fault", WRONG)
def test_every_engine_is_noticed_that_runs_something_else(fault: str, points: tuple[Interpreter, list[Point]]) -> None:
    machine, sampled = points
    row, change = WRONG[fault]
    wrong = changed(machine.spec, row, change)
    other = Interpreter(wrong, machine.scope)
    tables, solver = TableMoves(other), SolverMoves(wrong, machine.scope)
    native = NativeMoves(UACCE["6.12.117"], wrong, machine.scope)
    theirs = [replace(p, moves=tuple(other.moves(p.place.state))) for p in sampled]
    assert row in first(sampled, lambda p: moves_differ(machine, tables.found, p))
    assert row in first(sampled, lambda p: moves_differ(machine, solver.found, p))
    assert row.split(".")[0] in first(theirs, lambda p: native_differences(other, native, p))


def test_a_view_of_something_else_is_noticed(points: tuple[Interpreter, list[Point]]) -> None:
    machine, sampled = points
    wrong = changed(machine.spec, *WRONG["an effect is missing"])
    life = lifecycle(wrong, FIELD)
    assert first(sampled, lambda p: view_differences(machine, life, p)) == "put_q.ok: STARTED -> INIT"
    lost = {("put_q.ok", s, "INIT") for s in ("STARTED", "CORRUPT")}
    assert changes_of_cases(machine.spec) - changes_of_view(wrong) == lost
    assert changes_of_view(machine.spec) - changes_of_cases(wrong) >= lost


def test_a_wrong_machine_has_other_numbers() -> None:
    revision, scope, count, moves = NUMBERS["6.12.117, one open"]
    for row, change in WRONG.values():
        machine = small(changed(compiled(revision), row, change), scope)
        assert interpreted(machine) != count
        assert explored(machine) != (count.states, count.arcs, moves)
    assert run_natively("legacy", small(compiled("legacy"), scope)) != count
