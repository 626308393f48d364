# SPDX-License-Identifier: Apache-2.0
"""Small machines, written by hand in the intermediate form, so that the engines are tested without the compiler."""

from __future__ import annotations

from enum import Enum

from accelspec.spec.language.answers import Errno
from accelspec.spec.language.sources import deduced
from accelspec.spec.language.specification import Case, Check, Class, Form, Param, Property, Role, Specification
from accelspec.spec.language.terms import (
    ANY,
    FALSE,
    TRUE,
    All,
    And,
    Any_,
    App,
    Assign,
    Eq,
    Field,
    Implies,
    Kind,
    Lit,
    Not,
    Or,
    Range,
    Read,
    Term,
    Var,
    none,
)

SOURCE = deduced("a test")


class Power(Enum):
    OFF = "off"
    ON = "on"
    BROKEN = "broken"


def case(
    operation: str,
    row: str,
    guard: Term,
    outcome: Errno | None,
    *,
    effects: tuple[Assign, ...] = (),
    checks: tuple[Check, ...] = (),
    params: tuple[Param, ...] = (),
    step: str = "",
) -> Case:
    return Case(operation, row, guard, outcome, effects, checks, params, "", (), SOURCE, "test.py", 1, False, step)


def law(id: str, form: Form, term: Term = TRUE, **more: object) -> Property:
    return Property(id, id, form, Class.STATE, term, id, SOURCE, "test.py", 1, **more)  # type: ignore[arg-type]


def given(v: Var, where: Term = TRUE) -> Param:
    return Param(v, Role.GIVEN, where)


def check(id: str, t: Term) -> Check:
    return Check(id, t, "test.py", 1)


def enum(x: Enum) -> Lit:
    return Lit(x, type(x))


def number(n: int) -> Lit:
    return Lit(n, Range(n, n))


def plus(t: Term, n: int) -> Term:
    return App("add", (t, number(n)), t.type)


def at_most(a: Term, b: Term) -> Term:
    return App("le", (a, b))


# ---------------------------------------------------------------------- devices with a number, nothing created

DEVICE = Kind("Device", permanent=True)
POWER = Field("Device.power", (DEVICE,), Power, Power.OFF)
LEVEL = Field("Device.level", (DEVICE,), Range(2, 4), 2)
FAST = Field("Device.fast", (DEVICE,), bool, ANY, rigid=True)


def devices(step: int = 1) -> Specification:
    """Devices that are switched on and off and climb from 2 to 4, by `step`; a fast one may break while it climbs."""
    d = Var("d", DEVICE)
    x = Var("x#1", DEVICE)
    on = Eq(Read(POWER, (d,)), enum(Power.ON))
    off = Eq(Read(POWER, (d,)), enum(Power.OFF))
    fails = Var("motor fails", bool)
    top = at_most(number(4), Read(LEVEL, (d,)))
    return Specification(
        "devices",
        "1",
        "Devices that climb.",
        "",
        kinds=[DEVICE],
        fields=[POWER, LEVEL, FAST],
        cases=[
            case("switch", "broken", Eq(Read(POWER, (d,)), enum(Power.BROKEN)), Errno.EIO, params=(given(d),)),
            case(
                "switch",
                "ok",
                Not(Eq(Read(POWER, (d,)), enum(Power.BROKEN))),
                Errno.OK,
                effects=(
                    Assign(POWER, (d,), App("ite", (off, enum(Power.ON), enum(Power.OFF)), Power)),
                    Assign(LEVEL, (d,), number(2)),
                ),
                params=(given(d),),
            ),
            case("climb", "off", Not(on), Errno.EINVAL, params=(given(d),)),
            case("climb", "top", And(on, top), Errno.EBUSY, params=(given(d),)),
            case(
                "climb",
                "breaks",
                And(on, Not(top), Read(FAST, (d,)), fails),
                Errno.EIO,
                effects=(Assign(POWER, (d,), enum(Power.BROKEN)),),
                params=(given(d), Param(fails, Role.FAILS)),
            ),
            case(
                "climb",
                "ok",
                And(on, Not(top), Not(And(Read(FAST, (d,)), fails))),
                Errno.OK,
                effects=(Assign(LEVEL, (d,), plus(Read(LEVEL, (d,)), step)),),
                params=(given(d), Param(fails, Role.FAILS)),
            ),
            case(
                "crash",
                "all_at_the_top",
                All(x, at_most(number(4), Read(LEVEL, (x,)))),
                Errno.OOPS,
                effects=(Assign(POWER, (d,), enum(Power.OFF)),),
                params=(given(d),),
            ),
        ],
        properties=[
            law(
                "devices.I01",
                Form.ALWAYS,
                All(x, Or(Eq(Read(LEVEL, (x,)), number(2)), Not(Eq(Read(POWER, (x,)), enum(Power.OFF))))),
            ),
            law(
                "devices.I02",
                Form.ALWAYS,
                All(x, Implies(Read(FAST, (x,)), Not(Eq(Read(POWER, (x,)), enum(Power.BROKEN))))),
            ),
            law(
                "devices.I03",
                Form.ALWAYS,
                All(
                    x,
                    Implies(Eq(Read(POWER, (x,), True), enum(Power.BROKEN)), Eq(Read(POWER, (x,)), enum(Power.BROKEN))),
                ),
            ),
            law("devices.I04", Form.ALWAYS, All(x, at_most(Read(LEVEL, (x,), True), Read(LEVEL, (x,))))),
            law(
                "devices.I05",
                Form.AFTER,
                Implies(
                    Eq(Var("result", Errno), enum(Errno.OK)),
                    Eq(plus(Read(LEVEL, (d,), True), 1), Read(LEVEL, (d,))),
                ),
                operation="climb",
                params=(d, Var("result", Errno)),
            ),
            law("devices.R01", Form.SOMETIMES, Any_(x, Eq(Read(LEVEL, (x,)), number(4)))),
            law(
                "devices.R02",
                Form.SOMETIMES,
                Any_(x, And(Not(Read(FAST, (x,))), Eq(Read(POWER, (x,)), enum(Power.BROKEN)))),
            ),
        ],
        scopes={"all": {"Device": 2}},
    )


# ---------------------------------------------------------------------- references, new and freed objects, maps

PROCESS = Kind("Process", permanent=True)
FD = Kind("Fd", permanent=True)
FILE = Kind("File")
BUFFER = Kind("Buffer")
SLOT = Field("Process.fd", (PROCESS, FD), FILE, None, optional=True)
FILE_LIVE = Field("File.live", (FILE,), bool, False)
FILE_BUFFER = Field("File.buffer", (FILE,), BUFFER, None, optional=True)
BUFFER_LIVE = Field("Buffer.live", (BUFFER,), bool, False)
BUFFER_USES = Field("Buffer.uses", (BUFFER,), Range(0, 2), 0, ghost=True)
BUFFER_STALE = Field("Buffer.stale", (BUFFER,), bool, False)


def new(v: Var, live: Field) -> Param:
    return Param(v, Role.NEW, And(Not(Read(live, (v,))), Not(Eq(v, none(v.type)))))


def files(*, leak: bool = False) -> Specification:
    """Files in descriptor tables, and buffers that a file uses; close frees the file and (without `leak`) the use."""
    p, n, m = Var("p", PROCESS), Var("n", FD), Var("m", FD)
    f, b, x, y = Var("f", FILE), Var("b", BUFFER), Var("x#1", FILE), Var("y#2", BUFFER)
    k, q, i = Var("k#3", FD), Var("q#4", PROCESS), Var("i#5", FD)
    who = (given(p), given(n))
    mine = Read(SLOT, (p, n))
    empty = Eq(mine, none(FILE))
    its = Read(FILE_BUFFER, (mine,))
    free_buffer = Var("memory fails", bool)
    fresh = And(Read(BUFFER_LIVE, (b,)), Not(Read(BUFFER_STALE, (b,))))
    nobody = And(Eq(b, none(BUFFER)), All(y, Not(And(Read(BUFFER_LIVE, (y,)), Not(Read(BUFFER_STALE, (y,)))))))
    candidate = Or(fresh, nobody)
    other = Any_(q, Any_(i, And(Eq(Read(SLOT, (q, i)), mine), Not(And(Eq(q, p), Eq(i, n))))))
    use = Assign(BUFFER_USES, (b,), plus(Read(BUFFER_USES, (b,)), 1))
    drop = () if leak else (Assign(BUFFER_USES, (its,), plus(Read(BUFFER_USES, (its,)), -1), Not(other)),)
    last = Not(other)
    return Specification(
        "files",
        "1",
        "Files and buffers.",
        "",
        kinds=[PROCESS, FD, FILE, BUFFER],
        fields=[SLOT, FILE_LIVE, FILE_BUFFER, BUFFER_LIVE, BUFFER_USES, BUFFER_STALE],
        cases=[
            case("open", "busy", Not(empty), Errno.EBUSY, params=who),
            case(
                "open",
                "ok",
                empty,
                Errno.OK,
                effects=(Assign(FILE_LIVE, (f,), TRUE), Assign(SLOT, (p, n), f)),
                params=(*who, new(f, FILE_LIVE)),
            ),
            case("alloc", "no_memory", free_buffer, Errno.ENOMEM, params=(Param(free_buffer, Role.FAILS),)),
            case(
                "alloc",
                "ok",
                Not(free_buffer),
                Errno.OK,
                effects=(Assign(BUFFER_LIVE, (b,), TRUE),),
                params=(Param(free_buffer, Role.FAILS), new(b, BUFFER_LIVE)),
            ),
            case("attach", "no_file", empty, Errno.EBADF, params=who),
            case("attach", "taken", And(Not(empty), Not(Eq(its, none(BUFFER)))), Errno.EBUSY, params=who),
            case(
                "attach",
                "no_buffer",
                And(Not(empty), Eq(its, none(BUFFER)), Eq(b, none(BUFFER))),
                Errno.ENOENT,
                params=(*who, Param(b, Role.CHOSEN, candidate)),
            ),
            case(
                "attach",
                "ok",
                And(Not(empty), Eq(its, none(BUFFER)), Not(Eq(b, none(BUFFER)))),
                Errno.OK,
                effects=(Assign(FILE_BUFFER, (mine,), b), use),
                checks=(check("files.I01", at_most(Read(BUFFER_USES, (b,)), number(1))),),
                params=(*who, Param(b, Role.CHOSEN, candidate)),
            ),
            case("dup", "no_file", empty, Errno.EBADF, params=(*who, given(m))),
            case(
                "dup",
                "ok",
                And(Not(empty), Eq(Read(SLOT, (p, m)), none(FILE))),
                Errno.OK,
                effects=(Assign(SLOT, (p, m), mine),),
                params=(*who, given(m)),
            ),
            case("close", "no_file", empty, Errno.EBADF, params=who),
            case(
                "close",
                "ok",
                Not(empty),
                Errno.OK,
                effects=(
                    *drop,
                    Assign(FILE_BUFFER, (mine,), none(BUFFER), last),
                    Assign(FILE_LIVE, (mine,), FALSE, last),
                    Assign(SLOT, (p, n), none(FILE)),
                ),
                params=who,
            ),
            case(
                "exit",
                "ok",
                Any_(k, Not(Eq(Read(SLOT, (p, k)), none(FILE)))),
                Errno.DONE,
                effects=(
                    Assign(SLOT, (p, k), none(FILE), TRUE, (k,)),
                    Assign(
                        BUFFER_STALE,
                        (y,),
                        TRUE,
                        And(Read(BUFFER_LIVE, (y,)), Any_(k, Eq(Read(FILE_BUFFER, (Read(SLOT, (p, k)),)), y))),
                        (y,),
                    ),
                    Assign(
                        FILE_LIVE,
                        (x,),
                        FALSE,
                        And(
                            Any_(k, Eq(Read(SLOT, (p, k)), x)),
                            Not(Any_(q, Any_(i, And(Not(Eq(q, p)), Eq(Read(SLOT, (q, i)), x))))),
                        ),
                        (x,),
                    ),
                    Assign(
                        FILE_BUFFER,
                        (x,),
                        none(BUFFER),
                        And(
                            Any_(k, Eq(Read(SLOT, (p, k)), x)),
                            Not(Any_(q, Any_(i, And(Not(Eq(q, p)), Eq(Read(SLOT, (q, i)), x))))),
                        ),
                        (x,),
                    ),
                ),
                params=(given(p),),
            ),
        ],
        properties=[
            law("files.I01", Form.CHECK),
            law(
                "live:Process.fd",
                Form.ALWAYS,
                All(q, All(i, Or(Eq(Read(SLOT, (q, i)), none(FILE)), Read(FILE_LIVE, (Read(SLOT, (q, i)),))))),
            ),
            law("files.I02", Form.ALWAYS, All(y, Implies(Read(BUFFER_STALE, (y,)), Read(BUFFER_LIVE, (y,))))),
            law("files.I03", Form.ALWAYS, All(y, Not(Read(BUFFER_STALE, (y,))))),
            law(
                "files.I04",
                Form.AFTER,
                Implies(Eq(Var("result", Errno), enum(Errno.OK)), Eq(Read(SLOT, (p, n)), none(FILE))),
                operation="close",
                params=(p, n, Var("result", Errno)),
            ),
            law("files.R01", Form.SOMETIMES, Any_(y, Eq(Read(BUFFER_USES, (y,)), number(2)))),
        ],
        scopes={"all": {"Fd": 2, "File": 2, "Buffer": 2}},
    )


# ---------------------------------------------------------------------- calls in flight and locks

LOCK = Kind("Lock", permanent=True)
HELD = Field("Lock.held", (LOCK,), bool, False)
CALL = Kind("work()")
CALL_LIVE = Field("work().live", (CALL,), bool, False)
CALL_AT = Field("work().at", (CALL,), Range(0, 9), 0)
CALL_FIRST = Field("work().a", (CALL,), LOCK, None, optional=True)
CALL_SECOND = Field("work().b", (CALL,), LOCK, None, optional=True)


def locks(*, alone: bool = False) -> Specification:
    """Calls of `work(a, b)` take two locks one after the other; unless one works alone, two can wait forever."""
    a, b, c = Var("a", LOCK), Var("b", LOCK), Var("call", CALL)
    u, x = Var("u#1", LOCK), Var("x#2", CALL)

    def standing(k: int) -> tuple[Param, ...]:
        return (Param(c, Role.CALL, And(Read(CALL_LIVE, (c,)), Eq(Read(CALL_AT, (c,)), Lit(k, CALL_AT.type)))),)

    first, second = Read(CALL_FIRST, (c,)), Read(CALL_SECOND, (c,))
    allowed = And(Not(Eq(a, b)), All(x, Not(Read(CALL_LIVE, (x,)))) if alone else TRUE)
    start = Assign(CALL_LIVE, (c,), TRUE)
    return Specification(
        "locks",
        "alone" if alone else "together",
        "Two locks.",
        "",
        kinds=[LOCK, CALL],
        fields=[HELD, CALL_LIVE, CALL_AT, CALL_FIRST, CALL_SECOND],
        cases=[
            case(
                "work",
                "... first",
                allowed,
                None,
                effects=(
                    start,
                    Assign(CALL_AT, (c,), Lit(1, CALL_AT.type)),
                    Assign(CALL_FIRST, (c,), a),
                    Assign(CALL_SECOND, (c,), b),
                ),
                params=(given(a), given(b), new(c, CALL_LIVE)),
            ),
            case(
                "work",
                "... second",
                Not(Read(HELD, (first,))),
                None,
                effects=(Assign(HELD, (first,), TRUE), Assign(CALL_AT, (c,), Lit(2, CALL_AT.type))),
                params=standing(1),
                step="waits for a",
            ),
            case(
                "work",
                "ok",
                Not(Read(HELD, (second,))),
                Errno.OK,
                effects=(
                    Assign(HELD, (first,), FALSE),
                    Assign(CALL_LIVE, (c,), FALSE),
                    Assign(CALL_AT, (c,), Lit(0, CALL_AT.type)),
                    Assign(CALL_FIRST, (c,), none(LOCK)),
                    Assign(CALL_SECOND, (c,), none(LOCK)),
                ),
                params=standing(2),
                step="waits for b, holding a",
            ),
        ],
        properties=[
            law(
                "locks.I01",
                Form.AFTER,
                Implies(Eq(Var("result", Errno), enum(Errno.OK)), Not(Read(HELD, (Var("a", LOCK),)))),
                operation="work",
                params=(a, Var("result", Errno)),
            ),
            law(
                "locks.L01",
                Form.EVENTUALLY,
                All(u, Not(Read(HELD, (u,)))),
                fair=("work",),
            ),
        ],
        steps={"work": ["waits for a", "waits for b, holding a"]},
        scopes={"all": {"Lock": 2, "work()": 2}},
    )
