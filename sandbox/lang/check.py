"""Syntax tree -> typed IR, or the refusal at the exact place.

One method for each kind of node. `Known` carries what the conditions before a sub-expression have established, so
that nothing that passes here can fail when it runs: optionals are present, indices are there, divisors positive.
"""

from __future__ import annotations

from typing import Final

from sandbox.ir import (
    All,
    AllKeys,
    And,
    Arg,
    BoolSort,
    Bound,
    Const,
    Contains,
    EndsWith,
    EnumSort,
    Exists,
    ExistsOne,
    Expr,
    Fact,
    IntSort,
    Ite,
    ListSort,
    Lower,
    MapSort,
    Matches,
    Not,
    Or,
    SetAdd,
    SetRemove,
    Size,
    Sort,
    StartsWith,
    StringSort,
    TextSort,
    Variable,
    sort_of,
)
from sandbox.lang import later
from sandbox.lang.access import Access
from sandbox.lang.arithmetic import calculated, negated
from sandbox.lang.clock import LITERALS, PARTS, part_of_time, time_literal
from sandbox.lang.keys import as_change, as_key
from sandbox.lang.known import RELATIONS, established
from sandbox.lang.operands import (
    Either,
    Here,
    Kept,
    Lowered,
    Operand,
    Typed,
    as_sort,
    at_one_sort,
    is_open,
    is_set,
    kind,
    mismatch,
    standing_alone,
)
from sandbox.lang.provenance import ORIGIN_USE, origin_has
from sandbox.lang.reach import Reached, element_of
from sandbox.lang.relations import member, related
from sandbox.lang.scope import SUBJECTS, Digits, Element, Items, Known, Scalar, Scope, Time, Truth, Word
from sandbox.lang.source import Refused, SourceText, shown
from sandbox.lang.suggest import near_miss
from sandbox.lang.syntax import (
    RESERVED,
    AllOf,
    AnyOf,
    Apply,
    Binary,
    Boolean,
    Choice,
    Item,
    Listing,
    Name,
    Node,
    Number,
    Select,
    String,
    Unary,
)
from sandbox.lang.walk import weight

MAX_WEIGHT: Final = 200_000
"""Terms of an expression once its lists are written out: `(a in L ? 1 : 2) in L` multiplies without bound."""

METHODS: Final = PARTS | {
    "all", "exists", "exists_one", "startsWith", "endsWith", "contains", "matches", "lowerAscii", "size", "add",
    "remove",
}  # fmt: skip
FUNCTIONS: Final = LITERALS | {"has", "origin", "size"}


def lower(tree: Node, source: SourceText, scope: Scope, expected: Sort | None) -> Expr:
    """The IR of a syntax tree, at the sort `expected` where one is. Raises Refused."""
    here = _lowered(tree, source, scope)
    return _light(standing_alone(here).expr if expected is None else as_sort(here, expected))


def lower_change(tree: Node, source: SourceText, scope: Scope, variable: Variable) -> Expr:
    """The IR of what `then` makes of a set. Raises Refused."""
    return _light(as_change(_lowered(tree, source, scope), variable))


def lower_target(tree: Node, source: SourceText, scope: Scope) -> tuple[str, Expr | None]:
    """The variable that a key of `then` names, and of `map[KEY]` the key. Raises Refused."""
    match tree:
        case Name(text=name, span=span) | Item(operand=Name(text=name, span=span)):
            variable = scope.state.get(name)
        case _:
            raise Refused(0, f"{shown(source.text)} is no variable of the state; write `NAME`, or `NAME[KEY]` of a map")
    if variable is None:
        raise Refused(span.start, f"the state has no variable {shown(name)}{near_miss(name, scope.state)}")
    is_map = isinstance(variable.sort, MapSort)
    match tree:
        case Item(index=index) if is_map:
            return name, _light(as_key(_lowered(index, source, scope), variable))
        case Item():
            raise Refused(span.start, f"`{name}` is no map, and only a map has entries; write `{name}:`")
        case _ if is_map:
            raise Refused(span.start, f"a map is assigned entry by entry; write `'{name}[KEY]': ...`")
        case _:
            return name, None


def _lowered(tree: Node, source: SourceText, scope: Scope) -> Here:
    return _Checker(source.text, scope).here(tree, Known(tuple(scope.arguments)))


def _light(expr: Expr) -> Expr:
    if weight(expr) > MAX_WEIGHT:
        raise Refused(0, f"the expression stands for more than {MAX_WEIGHT:,} terms; split it, or shorten its lists")
    return expr


class _Checker:
    """The state of one run: the text, what names mean, and how many quantifiers were seen."""

    def __init__(self, text: str, scope: Scope) -> None:
        self._text = text
        self._scope = scope
        self._access = Access(text, scope, self.here)
        self._quantifiers = 0

    def here(self, node: Node, known: Known) -> Here:
        """A node's operand together with its own text."""
        return Here(self._operand(node, known), node, self._text)

    def _operand(self, node: Node, known: Known) -> Operand:
        match node:
            case Number(value=value, digits=digits):
                return Digits(value, digits)
            case String(value=text):
                return Word(text)
            case Boolean(value=truth):
                return Truth(truth)
            case Listing(items=items):
                return Items(tuple(self._item(item, known) for item in items))
            case Name():
                return self._name(node, known)
            case Select():
                return self._access.select(node, known)
            case Item():
                return self._access.index(node, known)
            case Apply():
                return self._apply(node, known)
            case Unary(operator="!"):
                return Typed(Not(self._bool(node.operand, known)), BoolSort())
            case Unary():
                return negated(self.here(node.operand, known))
            case Binary(operator="in", right=Apply(receiver=None, function="origin") as of):
                label = self.here(node.left, known)
                return Typed(origin_has(label, of, self.here, known, self._scope), BoolSort())
            case Binary(operator="in"):
                return Typed(member(self.here(node.left, known), self.here(node.right, known)), BoolSort())
            case Binary(operator=operator) if operator in RELATIONS:
                left, right = self.here(node.left, known), self.here(node.right, known)
                return Typed(related(operator, left, right), BoolSort())
            case Binary():
                return calculated(node, self.here(node.left, known), self.here(node.right, known))
            case AllOf(operands=operands):
                return Typed(And(tuple(self._in_sequence(operands, known))), BoolSort())
            case AnyOf(operands=operands):
                return Typed(Or(tuple(self._bool(operand, known) for operand in operands)), BoolSort())
            case Choice():
                return self._choice(node, known)

    # --- booleans ------------------------------------------------------------------------------------

    def _bool(self, node: Node, known: Known) -> Expr:
        return as_sort(self.here(node, known), BoolSort())

    def _in_sequence(self, operands: tuple[Node, ...], known: Known) -> list[Expr]:
        lowered = []
        for operand in operands:
            lowered.append(self._bool(operand, known))
            known = known.also(established(operand, self._scope))
        return lowered

    def _choice(self, node: Choice, known: Known) -> Operand:
        condition = self._bool(node.condition, known)
        then = self.here(node.then, known.also(established(node.condition, self._scope)))
        otherwise = self.here(node.otherwise, known)
        if is_open(then.operand) and is_open(otherwise.operand):
            return Either(condition, then, otherwise)
        if isinstance(then.operand, Kept) and is_set(then.operand):
            variable = then.operand.variable
            return Kept(Ite(condition, as_change(then, variable), as_change(otherwise, variable)), variable)
        left, right, sort = at_one_sort(then, otherwise)
        return Typed(Ite(condition, left, right), sort)

    # --- names ---------------------------------------------------------------------------------------

    def _name(self, node: Name, known: Known) -> Operand:
        name, scope = node.text, self._scope
        if name in known.bound:
            element = known.bound[name]
            return Typed(Bound(element.fresh, element.sort), element.sort, element.type)
        if name in scope.constants:
            return scope.constants[name]
        subject = scope.wholes.get(name) or scope.subjects.get(name)
        if subject is not None:
            return Typed(Arg(subject.name, sort_of(subject.type)), sort_of(subject.type), subject.type)
        if name in scope.facts:
            return Typed(Fact(name, scope.facts[name]), scope.facts[name])
        if name == "tool" and scope.tool is not None:
            return Typed(Const(scope.tool, EnumSort(scope.tools)), EnumSort(scope.tools))
        raise self._unknown_name(node, known)

    def _unknown_name(self, node: Name, known: Known) -> Refused:
        name = node.text
        if name == "args" and self._scope.arguments:
            message = "`args` is no value by itself; write `args.NAME`"
        elif name == "state" and self._scope.state:
            message = "`state` is no value by itself; write `state.NAME`"
        elif name == "session" and self._scope.session:
            message = "`session` is no value by itself; write `session.NAME`"
        elif name in {"args", "session", "now"} and not self._scope.arguments:
            message = f"`{name}` has no meaning here, where no call is looked at"
        elif name in {"state", "session"}:
            message = f"the spec declares no `{name}`"
        elif name in SUBJECTS:
            message = f"`{name}` has no meaning here; it belongs to the rules of `{SUBJECTS[name]}`"
        elif name in {"tool", "decision", "rule"}:
            message = f"`{name}` has no meaning here; it belongs to properties about a call"
        elif name == "origin":
            message = f"`origin` is a function; {ORIGIN_USE}"
        else:
            message = f"unknown name {shown(name)}{near_miss(name, (*self._scope.names(), *known.bound))}"
        return Refused(node.span.start, message)

    def _item(self, node: Node, known: Known) -> Scalar:
        here = self.here(node, known)
        match here.operand:
            case (Digits() | Word() | Truth() | Time()) as scalar:
                return scalar
            case _:
                raise Refused(here.start, f"a list holds constants only, found {kind(here.operand)} {here.source}")

    # --- functions -----------------------------------------------------------------------------------

    def _apply(self, node: Apply, known: Known) -> Operand:
        if node.receiver is None:
            return self._function(node, known)
        match node.function:
            case "all" | "exists" | "exists_one":
                return Typed(self._quantifier(node, node.receiver, known), BoolSort())
            case "size":
                _arity(node, 0)
                return self._size(node.receiver, known)
            case "startsWith" | "endsWith" | "contains":
                _arity(node, 1)
                return Typed(self._part_test(node, node.receiver, known), BoolSort())
            case "matches":
                _arity(node, 1)
                return Typed(self._matches(node, node.receiver, known), BoolSort())
            case "lowerAscii":
                _arity(node, 0)
                return self._lowered(node.receiver, known)
            case "add" | "remove":
                _arity(node, 1)
                return self._changed(node, node.receiver, known)
            case method if method in PARTS:
                _arity(node, 0)
                return part_of_time(method, self.here(node.receiver, known))
            case _:
                raise _no_such_function(node, METHODS, "method")

    def _function(self, node: Apply, known: Known) -> Operand:
        match node.function:
            case "has":
                _arity(node, 1)
                return Typed(self._access.has(node.arguments[0], known), BoolSort())
            case "size":
                _arity(node, 1)
                return self._size(node.arguments[0], known)
            case literal if literal in LITERALS:
                _arity(node, 1)
                return time_literal(literal, self.here(node.arguments[0], known))
            case "origin":
                raise Refused(node.function_span.start, f"`origin` gives no value, only a set to look in; {ORIGIN_USE}")
            case _:
                raise _no_such_function(node, FUNCTIONS, "function")

    def _size(self, node: Node, known: Known) -> Operand:
        here = self.here(node, known)
        match here.operand:
            case Typed(expr=expr, sort=StringSort() | TextSort() | ListSort()):
                return Typed(Size(expr), IntSort())
            case Word(value=text):
                return Digits(len(text), 0)
            case Items(items=items):
                return Digits(len(items), 0)
            case _:
                raise mismatch(here, "string, text or list")

    def _lowered(self, node: Node, known: Known) -> Operand:
        here = self.here(node, known)
        if is_open(here.operand):
            raise Refused(here.start, f"{here.source} is a constant; write it in lower case")
        return Lowered(as_sort(here, StringSort()))

    def _part_test(self, node: Apply, receiver: Node, known: Known) -> Expr:
        subject, part = self.here(receiver, known), self.here(node.arguments[0], known)
        if isinstance(subject.operand, Lowered):
            if not isinstance(part.operand, Word):
                raise Refused(part.start, f"`lowerAscii()` needs a constant in `{node.function}`, found {part.source}")
            return _tested(node.function, Lower(subject.operand.expr), as_sort(part, StringSort()))
        return _tested(node.function, as_sort(subject, StringSort()), as_sort(part, StringSort()))

    def _matches(self, node: Apply, receiver: Node, known: Known) -> Expr:
        subject, pattern = self.here(receiver, known), self.here(node.arguments[0], known)
        if not isinstance(pattern.operand, Word):
            raise Refused(
                pattern.start, f"`matches` takes a constant pattern, found {kind(pattern.operand)} {pattern.source}"
            )
        _check_pattern(pattern)
        if isinstance(subject.operand, Lowered):
            return Matches(Lower(subject.operand.expr), pattern.operand.value)
        return Matches(as_sort(subject, StringSort()), pattern.operand.value)

    def _quantifier(self, node: Apply, receiver: Node, known: Known) -> Expr:
        _arity(node, 2)
        over = self.here(receiver, known)
        match over.operand:
            case Kept(expr=expr, variable=Variable(sort=MapSort(key=item), key=type_)) if self._may_range_over_keys(
                node
            ):
                element = self._element(node, item, type_, known)
                return AllKeys(Bound(element.fresh, item), expr, self._body(node, element, known))
            case Typed(expr=expr, sort=ListSort(item=item), type=type_):
                element = self._element(node, item, None if type_ is None else element_of(type_), known)
            case _:
                raise mismatch(over, "a list argument")
        fresh, lowered = element.fresh, self._body(node, element, known)
        match node.function:
            case "all":
                return All(Bound(fresh, item), expr, lowered)
            case "exists":
                return Exists(Bound(fresh, item), expr, lowered)
            case _:
                return ExistsOne(Bound(fresh, item), expr, lowered)

    def _may_range_over_keys(self, node: Apply) -> bool:
        """What is said of all keys of a map is for proofs: no call could look at ten thousand keys."""
        if self._scope.tool is not None:
            message = f"`{node.function}` over the keys of a map belongs to properties; a rule asks about one key"
            raise Refused(node.function_span.start, message)
        if node.function != "all":
            message = f"of the keys of a map there is `all` only, no `{node.function}`; say what holds of all of them"
            raise Refused(node.function_span.start, message)
        return True

    def _element(self, node: Apply, sort: Sort, type_: Reached | None, known: Known) -> Element:
        variable = node.arguments[0]
        if not isinstance(variable, Name):
            raise Refused(
                variable.span.start, f"`{node.function}` takes a name first, as in `{node.function}(x, x != '')`"
            )
        self._check_fresh(variable, known)
        self._quantifiers += 1
        return Element(f"{variable.text}_{self._quantifiers}", sort, type_)

    def _body(self, node: Apply, element: Element, known: Known) -> Expr:
        variable, body = node.arguments
        name = variable.text if isinstance(variable, Name) else ""
        return self._bool(body, known.with_bound(name, element))

    def _changed(self, node: Apply, receiver: Node, known: Known) -> Operand:
        of = self.here(receiver, known)
        if not isinstance(of.operand, Kept) or not is_set(of.operand):
            raise mismatch(of, "a set of the state")
        item = as_key(self.here(node.arguments[0], known), of.operand.variable)
        change = SetAdd if node.function == "add" else SetRemove
        return Kept(change(of.operand.expr, item), of.operand.variable)

    def _check_fresh(self, variable: Name, known: Known) -> None:
        roots = {"args", "state", "session", "tool", "now", "origin"}
        taken = {*self._scope.constants, *self._scope.facts, *known.bound, *SUBJECTS, *roots}
        if variable.text in taken | RESERVED:
            raise Refused(variable.span.start, f"{shown(variable.text)} means something already; use another name")


def _tested(function: str, subject: Expr, part: Expr) -> Expr:
    match function:
        case "startsWith":
            return StartsWith(subject, part)
        case "endsWith":
            return EndsWith(subject, part)
        case _:
            return Contains(subject, part)


def _arity(node: Apply, count: int) -> None:
    if len(node.arguments) != count:
        message = f"`{node.function}` takes {count} argument{'' if count == 1 else 's'}, found {len(node.arguments)}"
        raise Refused(node.function_span.start, message)


def _no_such_function(node: Apply, known: frozenset[str], what: str) -> Refused:
    name, start = node.function, node.function_span.start
    if name in later.NEVER:
        return Refused(
            start, f"`{name}` is not in the language: nothing converts or rewrites a value; test it as it is"
        )
    if name in METHODS and what == "function":
        return Refused(start, f"`{name}` is a method; write `x.{name}(...)`")
    if name in FUNCTIONS and what == "method":
        if name == "origin":
            return Refused(start, f"`origin` is a function; {ORIGIN_USE}")
        inside = "'...'" if name in LITERALS else "args.NAME"
        return Refused(start, f"`{name}` is a function; write `{name}({inside})`")
    return Refused(start, f"{shown(name)} is no {what} of this language{near_miss(name, known)}")


def _check_pattern(here: Here) -> None:
    from sandbox.regex import PatternError, check_pattern  # noqa: PLC0415 - RE2 loads only where there are patterns

    if not isinstance(here.operand, Word):
        return
    try:
        check_pattern(here.operand.value, mode="search")
    except PatternError as error:
        inside = here.node.offsets[error.offset] if isinstance(here.node, String) else here.start
        raise Refused(inside, f"the pattern is refused: {error.message}") from None
