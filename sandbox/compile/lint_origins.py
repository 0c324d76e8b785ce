"""What is seldom meant of origins: an `allow` that rests on a label which only a part of a value need have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sandbox.call import UNKNOWN
from sandbox.errors import Problem
from sandbox.ir import And, ArgvType, Expr, ListType, Not, Or, OriginHas, RecordType, ShellType, Tool
from sandbox.lang.walk import parts
from sandbox.origins import USER

_OF_MANY: Final = (ArgvType, ListType, RecordType, ShellType)


def lint_origins(tool: Tool) -> Iterator[Problem]:
    """Every `allow` that rests on a label and does not exclude `unknown`, where that can stand beside it."""
    several = {argument.name for argument in tool.arguments if isinstance(argument.type, _OF_MANY)}
    for rule in tool.rules:
        if rule.kind != "allow":
            continue
        asked = dict.fromkeys(_asked(rule.when, positive=True))
        excluded = {each.argument for each in _asked(rule.when, positive=False) if each.label == UNKNOWN}
        for each in asked:
            partly = each.argument in several
            if each.label == UNKNOWN or each.argument in excluded or not (partly or each.label != USER):
                continue
            where = f"origin(args.{each.argument})"
            when = "a part of the value has it" if partly else "the value only looks like one that has it"
            message = f"`'{each.label}' in {where}` holds also where {when}; add `&& !('{UNKNOWN}' in {where})`"
            yield Problem(rule.place, message)


def _asked(expr: Expr, *, positive: bool) -> Iterator[OriginHas]:
    """What is asked of origins where being true helps the whole to be true, or (not `positive`) where it hinders."""
    match expr:
        case OriginHas():
            if positive:
                yield expr
        case Not(operand=operand):
            yield from _asked(operand, positive=not positive)
        case And() | Or():
            for part in expr.operands:
                yield from _asked(part, positive=positive)
        case _:
            for part in parts(expr):  # a choice, or an equality: it may help either way
                yield from _asked(part, positive=True)
                yield from _asked(part, positive=False)
