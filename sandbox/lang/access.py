"""`args.x`, `state.x`, `session.x`, fields and constant indices: what they lead to, and that it is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sandbox import ir
from sandbox.ir import (
    Arg,
    Argument,
    Expr,
    Fact,
    FieldSort,
    Has,
    HasField,
    Index,
    ListSort,
    MapGet,
    MapSort,
    RecordSort,
    SetSort,
    State,
    Variable,
)
from sandbox.lang.keys import as_key
from sandbox.lang.operands import Here, Kept, Operand, Typed, kind, mismatch
from sandbox.lang.paths import path_of
from sandbox.lang.reach import element_of, least_size, part_of
from sandbox.lang.scope import Digits, Known, Scope
from sandbox.lang.source import Refused, shown
from sandbox.lang.suggest import near_miss
from sandbox.lang.syntax import Item, Name, Node, Select

_HAS: Final = "`has` takes an argument of the call, or a field of a record; write `has(args.NAME)`"


class Access:
    """Access paths in one expression; `lower` gives the operand of any sub-expression."""

    def __init__(self, text: str, scope: Scope, lower: Callable[[Node, Known], Here]) -> None:
        self._text = text
        self._scope = scope
        self._lower = lower

    def select(self, node: Select, known: Known) -> Operand:
        """`operand.field`."""
        whole = self._text[node.span.start : node.span.end]
        if whole in self._scope.commons:
            return Typed(Fact(whole, self._scope.commons[whole]), self._scope.commons[whole])
        match node.operand:
            case Name(text="args") if self._scope.arguments:
                argument = self._argument(node, known)
                self._check_present(node, known, optional=argument.optional)
                sort = ir.sort_of(argument.type)
                return Typed(Arg(argument.name, sort), sort, argument.type)
            case Name(text="state") if self._scope.state:
                if node.field not in self._scope.state:
                    message = f"the state has no variable {shown(node.field)}{near_miss(node.field, self._scope.state)}"
                    raise Refused(node.field_span.start, message)
                variable = self._scope.state[node.field]
                if isinstance(variable.sort, SetSort | MapSort):
                    return Kept(State(node.field, variable.sort), variable)
                return Typed(State(node.field, variable.sort), variable.sort)
            case Name(text="session") if self._scope.session:
                return self._session(node)
            case _:
                return self._field(node, known)

    def has(self, node: Node, known: Known) -> Expr:
        """`has(...)` of an argument, or of a field of a record."""
        match node:
            case Select(operand=Name(text="args")) if self._scope.arguments:
                argument = self._argument(node, known)
                return Has(argument.name) if argument.optional else ir.TRUE
            case Select(operand=Name(text="state" | "session")):
                raise Refused(node.span.start, _HAS)
            case Select():
                _, expr, field = self._record_field(node, known)
                return HasField(expr, field.name) if field.optional else ir.TRUE
            case _:
                raise Refused(node.span.start, _HAS)

    def index(self, node: Item, known: Known) -> Operand:
        """`list[position]`, or the value of a map at a key."""
        of = self._lower(node.operand, known)
        match of.operand:
            case Kept(expr=expr, variable=Variable(sort=MapSort(value=sort), initial=int(initial)) as variable):
                return Typed(MapGet(expr, as_key(self._lower(node.index, known), variable), initial), sort)
            case Typed(expr=expr, sort=ListSort(item=item), type=type_):
                pass
            case _:
                raise mismatch(of, "a list argument")
        position = self._lower(node.index, known)
        match position.operand:
            case Digits(value=value, digits=0) if value >= 0:
                pass
            case _:
                raise Refused(position.start, f"expected an int constant of at least 0, found {position.source}")
        path = path_of(node.operand, self._scope.constants)
        if value >= max([least_size(type_), *(size for measured, size in known.sizes if measured == path)]):
            needed = f"write `size({of.source[1:-1]}) > {value} &&` before it"
            raise Refused(node.span.start, f"{of.source} may be too short for {position.source}; {needed}")
        return Typed(Index(expr, value), item, None if type_ is None else element_of(type_))

    # --- records -------------------------------------------------------------------------------------

    def _field(self, node: Select, known: Known) -> Operand:
        of, expr, field = self._record_field(node, known)
        self._check_present(node, known, optional=field.optional)
        type_ = None if of.type is None else part_of(of.type, field.name)
        return Typed(ir.Field(expr, field.name, field.sort), field.sort, type_)

    def _record_field(self, node: Select, known: Known) -> tuple[Typed, Expr, FieldSort]:
        of = self._subject(node.operand, known) or self._lower(node.operand, known)
        match of.operand:
            case Typed(expr=expr, sort=RecordSort() as sort) as typed:
                pass
            case _:
                raise Refused(node.field_span.start, f"{kind(of.operand)} {of.source} has no fields{_entry(of, node)}")
        field = sort.field(node.field)
        if field is None:
            names = [part.name for part in sort.fields]
            message = f"{kind(of.operand)} {of.source} has no field {shown(node.field)}{near_miss(node.field, names)}"
            raise Refused(node.field_span.start, message)
        return typed, expr, field

    def _subject(self, node: Node, known: Known) -> Here | None:
        """What is judged after a call, where a field of it is selected; None of all else."""
        if not isinstance(node, Name) or node.text in known.bound or node.text not in self._scope.wholes:
            return None
        subject = self._scope.subjects.get(node.text)
        if subject is None:
            message = (
                f"`returns` declares no type of a field of `{node.text}`; write `returns: {{NAME: {{type: ...}}}}`"
            )
            raise Refused(node.span.start, message)
        sort = ir.sort_of(subject.type)
        return Here(Typed(Arg(subject.name, sort), sort, subject.type), node, self._text)

    def _check_present(self, node: Select, known: Known, *, optional: bool) -> None:
        path = path_of(node, self._scope.constants)
        if optional and path not in known.present:
            source = shown(self._text[node.span.start : node.span.end])
            message = f"{source} is optional; write `has({source[1:-1]}) &&` before it"
            raise Refused(node.span.start, message)

    # --- arguments and facts -------------------------------------------------------------------------

    def _session(self, node: Select) -> Operand:
        fact = self._scope.session.get(node.field)
        if fact is None:
            known = near_miss(node.field, self._scope.session)
            raise Refused(node.field_span.start, f"the session has no fact {shown(node.field)}{known}")
        sort = ir.sort_of(fact.type)
        if isinstance(sort, ListSort | RecordSort | ir.TextSort):
            raise Refused(node.field_span.start, f"`session.{fact.name}` is no single value")
        return Typed(Fact(f"session.{fact.name}", sort), sort, fact.type)

    def _argument(self, node: Select, known: Known) -> Argument:
        name = node.field
        found = {tool: self._scope.arguments[tool].get(name) for tool in known.tools}
        without = next((tool for tool, argument in found.items() if argument is None), None)
        if without is not None or not found:
            raise self._no_such_argument(node, known, without)
        first, *others = (argument for argument in found.values() if argument is not None)
        if any(other.type != first.type or other.optional != first.optional for other in others):
            message = f"`args.{name}` differs in type among `{'`, `'.join(found)}`; name one tool before it"
            raise Refused(node.field_span.start, message)
        return first

    def _no_such_argument(self, node: Select, known: Known, without: str | None) -> Refused:
        name, start = node.field, node.field_span.start
        owners = [tool for tool, arguments in self._scope.arguments.items() if name in arguments]
        if without is None:
            return Refused(
                start, f"no tool is left here that has an argument {shown(name)}; check the conditions before it"
            )
        if owners and len(self._scope.arguments) > 1:
            remedy = f"write `tool == '{owners[0]}' &&` before it"
            return Refused(start, f"tool `{without}` has no argument {shown(name)}; {remedy}")
        names = {other for tool in known.tools for other in self._scope.arguments[tool]}
        return Refused(start, f"tool `{without}` has no argument {shown(name)}{near_miss(name, names)}")


def _entry(of: Here, node: Select) -> str:
    """What was meant by a field of a map."""
    match of.operand:
        case Kept(variable=Variable(sort=MapSort())):
            return f"; the value of one key is `{of.source[1:-1]}['{node.field}']`"
        case _:
            return ""
