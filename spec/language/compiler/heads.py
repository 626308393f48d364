# SPDX-License-Identifier: Apache-2.0
"""What a revision says about itself: name, document, scopes, known violations; and that every id means something."""

from __future__ import annotations

from ..assembly import where
from ..errors import SpecError
from ..machine import Machine
from ..sources import Source
from ..specification import Cost, Property, Specification, Violation

NEEDED = {
    "machine": "uacce",
    "revision": "6.12.117",
    "document": "linux 6.12.117 drivers/misc/uacce/uacce.c",
}


def check_head(c: type[Machine]) -> None:
    """The class variables of a revision are there, and are what they must be.  Raises SpecError for one that is not."""
    for attribute, example in NEEDED.items():
        if not isinstance(getattr(c, attribute), str) or not getattr(c, attribute).strip():
            raise SpecError(
                *where(c, attribute),
                f"{c.__name__} has no {attribute}",
                f'Write `{attribute} = "{example}"` in the class.',
            )
    for base in c.__mro__:
        drops = vars(base).get("drops", ())
        if not (isinstance(drops, (tuple, list)) and all(isinstance(t, str) for t in drops)):
            remedy = 'Write `drops = ("open.busy",)`, with the comma.'
            raise SpecError(*where(base, "drops"), f"drops of {base.__name__} is no list of rows", remedy)
    own = vars(c)
    if not (isinstance(known := own.get("known", ()), (tuple, list)) and all(map(_is_violation, known))):
        remedy = 'Write `known = (violates("uacce.I03", "put_q.ok", "why", source),)`, with the comma.'
        raise SpecError(*where(c, "known"), f"known of {c.__name__} is no list of violations", remedy)
    if not isinstance(own.get("unchanged"), (Source, type(None))):
        remedy = 'Write `unchanged = read("uacce.c", "compared function by function")`.'
        raise SpecError(*where(c, "unchanged"), f"unchanged of {c.__name__} is no source", remedy)
    reasons = own.get("not_applicable", {})
    if not (isinstance(reasons, dict) and all(isinstance(x, str) and x for kv in reasons.items() for x in kv)):
        remedy = 'Write `not_applicable = {"uacce.I13": "why it says nothing here"}`.'
        raise SpecError(*where(c, "not_applicable"), f"not_applicable of {c.__name__} gives no reasons", remedy)
    costs = own.get("costs", {})
    if not (isinstance(costs, dict) and all(isinstance(q, str) and q and _is_cost(x) for q, x in costs.items())):
        remedy = 'Write `costs = {"who waits": cost("nobody", deduced("why"))}`.'
        raise SpecError(*where(c, "costs"), f"costs of {c.__name__} are no questions with an answer each", remedy)
    if not isinstance(own.get("base", ""), str):
        raise SpecError(*where(c, "base"), f"base of {c.__name__} is no revision", 'Write `base = "6.12.117"`.')
    _check_sizes(c)


def _is_cost(x: object) -> bool:
    return isinstance(x, Cost) and isinstance(x.answer, str) and bool(x.answer) and isinstance(x.source, Source)


def _is_violation(v: object) -> bool:
    texts = (v.property, v.row, v.why) if isinstance(v, Violation) else (None,)
    return all(isinstance(x, str) and x for x in texts) and isinstance(getattr(v, "source", None), Source)


def _check_sizes(c: type[Machine]) -> None:
    at, remedy = _stated(c, "scopes"), 'Write `scopes = {"two queues": {"Queue": 2}}`.'
    if not (isinstance(c.scopes, dict) and all(isinstance(s, dict) for s in c.scopes.values())):
        raise SpecError(*where(at, "scopes"), f"scopes of {at.__name__} are no named sizes of kinds", remedy)
    for name, sizes in c.scopes.items():
        for kind, n in sizes.items():
            if not isinstance(kind, str) or isinstance(n, bool) or not isinstance(n, int) or n < 0:
                what = f"scope {name!r} of {at.__name__}: there cannot be {n!r} of {kind}"
                raise SpecError(*where(at, "scopes"), what, remedy)


def check_scopes(c: type[Machine], spec: Specification) -> None:
    """A scope names kinds; calls in flight that this revision does not have are left out of it."""
    kinds = [k.name for k in spec.kinds]
    for name, sizes in spec.scopes.items():
        for k in [k for k in sizes if k not in kinds]:
            if not k.endswith("()"):
                at = _stated(c, "scopes")
                what = f"scope {name!r} of {at.__name__} names {k!r}, which is no kind"
                raise SpecError(*where(at, "scopes"), what, f"There is: {', '.join(kinds)}.")
            del sizes[k]


def check_ids(c: type[Machine], spec: Specification) -> None:
    """No id stands for two properties; every id, row and operation that something names exists."""
    by_id: dict[str, Property] = {}
    for p in spec.properties:
        if p.id in by_id:
            remedy = f"The other is {by_id[p.id].name}, line {by_id[p.id].line}."
            raise SpecError(p.file, p.line, f"{p.id} is the id of two properties", remedy)
        by_id[p.id] = p
    for case in spec.cases:
        for k in case.checks:
            if not k.property.startswith("range:") and k.property not in by_id:
                remedy = "Declare it: `@check(id, STATE, source)`, with its sentence."
                raise SpecError(k.file, k.line, f"the assert names {k.property!r}, which is no property", remedy)
    operations = spec.operations()
    for p in spec.properties:
        if unknown := [o for o in p.fair if o not in operations]:
            remedy = f"There is: {', '.join(operations)}."
            raise SpecError(p.file, p.line, f"{p.id} is fair to {unknown[0]!r}, which is no operation", remedy)
    there = f"There is: {', '.join(p.id for p in spec.properties if not p.implied)}."
    for what, ids in (("known", spec.known), ("not_applicable", spec.not_applicable)):
        for id in ids:
            if id not in by_id and id != "deadlock":
                raise SpecError(*where(c, what), f"{what} of {c.__name__} names {id!r}, which is no property", there)
    rows = spec.rows()
    for v in spec.known.values():
        if v.row not in rows and v.row not in operations:
            near = [r for r in rows if r.startswith(v.row.partition(".")[0] + ".")]
            remedy = f"There is: {', '.join(near or rows)}."
            raise SpecError(*where(c, "known"), f"known of {c.__name__} names {v.row!r}, which is no row", remedy)


def _stated(c: type[Machine], attribute: str) -> type:
    """The class that states an attribute."""
    return next(x for x in c.__mro__ if attribute in vars(x))
