"""What `on_success` may assign: only what enables, and never what counts or takes away.

A call that has ended `ok` is noted on a state that other calls have moved since its permit. What is noted there must
mean the same whatever came between: a maximum of what the call itself says, a bool that stays true, a phase that only
moves forward, an item in a set. A count of successes would let calls through that all read it before the first of them
has ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import get_args

from sandbox.ir import (
    TRUE,
    All,
    BoolSort,
    Bound,
    Const,
    EnumSort,
    Eq,
    Exists,
    ExistsOne,
    Expr,
    Ite,
    Lt,
    MapSort,
    Or,
    SetAdd,
    SetSort,
    State,
    Variable,
)
from sandbox.lang.walk import parts

_INSTEAD = "or move it to `then`"


def refusal(variable: Variable, value: Expr) -> str:
    """Why `on_success` may not assign `value` to the variable, or ''."""
    name = variable.name
    if variable.period is not None and variable.period.kind == "window":
        return f"`{name}` has a `window` and is only ever added to, which `on_success` does not; move it to `then`"
    match variable.sort, value:
        case BoolSort(), _:
            return (
                ""
                if value == TRUE
                else f"`on_success` sets `{name}` to `true` and nothing else; write that, {_INSTEAD}"
            )
        case SetSort(), _:
            if _adds(value):
                return ""
            return f"`on_success` adds to `{name}`, whatever the state is; write `state.{name}.add(E)`, {_INSTEAD}"
        case MapSort(), _:
            return f"`on_success` only ever enables, and an entry of `{name}` counts; move it to `then`"
        case EnumSort(), _:
            if isinstance(value, Const):
                return ""
            return f"`on_success` moves `{name}` forward to one of its values; write that value, {_INSTEAD}"
        case _, Ite(condition=Lt(left=raised, right=State(name=one)), then=State(name=other), otherwise=otherwise) if (
            one == other == name and _alike(raised, otherwise)
        ):
            if not _reads_state(raised):
                return ""
            return (
                f"what `{name}` is raised to reads `state`, and so could count calls; write it of arguments, facts and "
                f"constants, {_INSTEAD}"
            )
        case _:
            return f"`on_success` only ever raises `{name}`; write `state.{name} > E ? state.{name} : E`, {_INSTEAD}"


def effective(variable: Variable, value: Expr) -> Expr:
    """What is assigned: an enum's value takes effect only where it stands later than the present one."""
    match variable.sort, value:
        case EnumSort(values=values) as sort, Const(value=name):
            present = State(variable.name, sort)
            earlier = tuple(Eq(present, Const(each, sort)) for each in values[: values.index(str(name))])
            return Ite(Or(earlier), value, present)
        case _:
            return value


def _adds(value: Expr) -> bool:
    """Whether a set only grows, by items that do not depend on the state."""
    match value:
        case SetAdd(of=State(), item=item):
            return not _reads_state(item)
        case SetAdd(of=of, item=item):
            return _adds(of) and not _reads_state(item)
        case _:
            return False


def _alike(one: Expr, other: Expr) -> bool:
    """Whether two expressions were written alike: each quantifier has a name of its own for its variable."""
    return _named_alike(one, {}) == _named_alike(other, {})


def _named_alike(expr: Expr, names: Mapping[str, str]) -> Expr:
    match expr:
        case Bound(name=name, sort=sort):
            return Bound(names.get(name, name), sort)
        case All(variable=variable) | Exists(variable=variable) | ExistsOne(variable=variable):
            names = {**names, variable.name: f"{len(names)}"}
    changed: dict[str, object] = {}
    for each in fields(expr):
        value = getattr(expr, each.name)
        if isinstance(value, tuple):
            changed[each.name] = tuple(_named_alike(item, names) for item in value)
        elif isinstance(value, get_args(Expr)):
            changed[each.name] = _named_alike(value, names)
    return replace(expr, **changed) if changed else expr  # type: ignore[arg-type]  # fields of this very node


def _reads_state(expr: Expr) -> bool:
    return isinstance(expr, State) or any(_reads_state(part) for part in parts(expr))
