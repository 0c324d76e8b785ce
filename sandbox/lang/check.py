"""Syntax tree -> typed IR, or the refusal at the exact place.

One method for each kind of node. `Known` carries what the conditions before a sub-expression have established, so
that nothing that passes here can fail when it runs: optionals are present, indices are there, divisors positive.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Final, get_args

from sandbox import ir
from sandbox.ir import (
    FALSE,
    Add,
    All,
    And,
    Arg,
    Argument,
    BoolSort,
    Bound,
    Const,
    DecimalSort,
    Div,
    EnumSort,
    Eq,
    Exists,
    ExistsOne,
    Expr,
    Fact,
    Has,
    Index,
    IntSort,
    Ite,
    Le,
    ListSort,
    Lt,
    Mod,
    Mul,
    Neg,
    Not,
    Or,
    Size,
    Sort,
    State,
    StringSort,
    Sub,
    TextSort,
)
from sandbox.lang import later
from sandbox.lang.literals import MAX_DIGITS
from sandbox.lang.operands import (
    MAX_SCALE,
    Either,
    Here,
    Lowered,
    Operand,
    Typed,
    as_sort,
    at_one_sort,
    is_open,
    kind,
    mismatch,
    own_sort,
    standing_alone,
)
from sandbox.lang.scope import Constant, Digits, Items, Known, Scope, Truth, Word
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

RELATIONS: Final = frozenset({"==", "!=", "<", "<=", ">", ">="})
MAX_WEIGHT: Final = 200_000
"""Terms of an expression once lists are written out: `(a in L ? 1 : 2) in L` multiplies, and is no rule of anybody's."""

QUANTIFIERS: Final = {"all": All, "exists": Exists, "exists_one": ExistsOne}
PART_TESTS: Final = {"startsWith": ir.StartsWith, "endsWith": ir.EndsWith, "contains": ir.Contains}
METHODS: Final = frozenset({*QUANTIFIERS, *PART_TESTS, "matches", "lowerAscii", "size"})
FUNCTIONS: Final = frozenset({"has", "size"})


def lower(tree: Node, source: SourceText, scope: Scope, expected: Sort | None) -> Expr:
    """The IR of a syntax tree, at the sort `expected` where one is. Raises Refused."""
    checker = _Checker(source.text, scope)
    here = checker.here(tree, Known(tuple(scope.arguments)))
    expr = standing_alone(here).expr if expected is None else as_sort(here, expected)
    if weight(expr) > MAX_WEIGHT:
        raise Refused(0, f"the expression stands for more than {MAX_WEIGHT:,} terms; split it, or shorten its lists")
    return expr


def constant(tree: Node, source: SourceText, constants: dict[str, Constant]) -> Constant:
    """The constant that a syntax tree of nothing but constants is. Raises Refused for any other."""
    here = _Checker(source.text, Scope(constants=constants)).here(tree, Known(()))
    match here.operand:
        case Typed() | Lowered() | Either():
            raise Refused(here.start, f"expected a constant, found {here.source}")
        case value:
            return value


def weight(expr: Expr, known: dict[int, int] | None = None) -> int:
    """The number of nodes of an expression, those that it shares counted at each place."""
    seen = {} if known is None else known
    if id(expr) not in seen:
        seen[id(expr)] = 1 + sum(weight(part, seen) for part in parts(expr))
    return seen[id(expr)]


def parts(expr: Expr) -> tuple[Expr, ...]:
    """The expressions directly inside of one."""
    found: list[Expr] = []
    for field in fields(expr):
        value = getattr(expr, field.name)
        found.extend(item for item in (value if isinstance(value, tuple) else (value,)) if isinstance(item, get_args(Expr)))
    return tuple(found)


class _Checker:
    """The state of one run: the text, what names mean, and how many quantifiers were seen."""

    def __init__(self, text: str, scope: Scope) -> None:
        self._text = text
        self._scope = scope
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
                return self._select(node, known)
            case Item():
                return self._index(node, known)
            case Apply():
                return self._apply(node, known)
            case Unary(operator="!"):
                return Typed(Not(self._bool(node.operand, known)), BoolSort())
            case Unary():
                return self._negate(node, known)
            case Binary(operator="in"):
                return Typed(self._member(node, known), BoolSort())
            case Binary(operator=operator) if operator in RELATIONS:
                return Typed(self._relation(node, known), BoolSort())
            case Binary():
                return self._arithmetic(node, known)
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
            known = known.also(self._established(operand, known))
        return lowered

    def _choice(self, node: Choice, known: Known) -> Operand:
        condition = self._bool(node.condition, known)
        then = self.here(node.then, known.also(self._established(node.condition, known)))
        otherwise = self.here(node.otherwise, known)
        if is_open(then.operand) and is_open(otherwise.operand):
            return Either(condition, then, otherwise)
        left, right, sort = at_one_sort(then, otherwise)
        return Typed(Ite(condition, left, right), sort)

    # --- names ---------------------------------------------------------------------------------------

    def _name(self, node: Name, known: Known) -> Operand:
        name, scope = node.text, self._scope
        if name in known.bound:
            fresh, sort = known.bound[name]
            return Typed(Bound(fresh, sort), sort)
        if name in scope.constants:
            return scope.constants[name]
        if name in scope.facts:
            return Typed(Fact(name, scope.facts[name]), scope.facts[name])
        if name == "tool" and scope.tool is not None:
            return Typed(Const(scope.tool, EnumSort(scope.tools)), EnumSort(scope.tools))
        raise self._unknown_name(node, known)

    def _unknown_name(self, node: Name, known: Known) -> Refused:
        name = node.text
        if name in later.NAMES:
            message = f"`{name}` is {later.NOT_YET}"
        elif name == "args" and self._scope.arguments:
            message = "`args` is no value by itself; write `args.NAME`"
        elif name == "state" and self._scope.state:
            message = "`state` is no value by itself; write `state.NAME`"
        elif name == "args":
            message = "`args` has no meaning here, where no call is looked at"
        elif name == "state":
            message = "the spec declares no `state`"
        elif name in {"tool", "decision", "rule"}:
            message = f"`{name}` has no meaning here; it belongs to properties about a call"
        else:
            message = f"unknown name {shown(name)}{near_miss(name, (*self._scope.names(), *known.bound))}"
        return Refused(node.span.start, message)

    def _select(self, node: Select, known: Known) -> Operand:
        match node.operand:
            case Name(text="args") if self._scope.arguments:
                argument = self._argument(node, known)
                if argument.optional and argument.name not in known.present:
                    message = f"`args.{argument.name}` is optional; write `has(args.{argument.name}) &&` before it"
                    raise Refused(node.span.start, message)
                sort = ir.sort_of(argument.type)
                return Typed(Arg(argument.name, sort), sort)
            case Name(text="state") if self._scope.state:
                if node.field not in self._scope.state:
                    message = f"the state has no variable {shown(node.field)}{near_miss(node.field, self._scope.state)}"
                    raise Refused(node.field_span.start, message)
                found = self._scope.state[node.field]
                return Typed(State(node.field, found), found)
            case Name(text=name) if name in later.NAMES and name not in known.bound:
                raise Refused(node.operand.span.start, f"`{name}` is {later.NOT_YET}")
            case _:
                of = self.here(node.operand, known)
                message = f"{kind(of.operand)} {of.source} has no fields; records, urls and emails are {later.NOT_YET}"
                raise Refused(node.field_span.start, message)

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
            return Refused(start, f"no tool is left here that has an argument {shown(name)}; check the conditions before it")
        if owners and len(self._scope.arguments) > 1:
            remedy = f"write `tool == '{owners[0]}' &&` before it"
            return Refused(start, f"tool `{without}` has no argument {shown(name)}; {remedy}")
        names = {other for tool in known.tools for other in self._scope.arguments[tool]}
        return Refused(start, f"tool `{without}` has no argument {shown(name)}{near_miss(name, names)}")

    def _index(self, node: Item, known: Known) -> Operand:
        operand = self.here(node.operand, known)
        match operand.operand:
            case Typed(expr=Arg(name=name), sort=ListSort(item=item)):
                pass
            case _:
                raise mismatch(operand, "a list argument")
        position = self.here(node.index, known)
        match position.operand:
            case Digits(value=value, digits=0) if value >= 0:
                pass
            case _:
                raise Refused(position.start, f"expected an int constant of at least 0, found {position.source}")
        if value >= self._least_size(name, known):
            message = f"{operand.source} may be too short for {position.source}; write `size({operand.source[1:-1]}) > {value} &&` before it"
            raise Refused(node.span.start, message)
        return Typed(Index(operand.operand.expr, value), item)

    def _least_size(self, name: str, known: Known) -> int:
        types = [self._scope.arguments[tool][name].type for tool in known.tools]
        declared = min((type_.min_size for type_ in types if isinstance(type_, ir.ListType)), default=0)
        return max([declared, *(size for of, size in known.sizes if of == name)])

    # --- what a condition establishes ----------------------------------------------------------------

    def _established(self, node: Node, known: Known) -> Known:
        nothing = Known(tuple(self._scope.arguments))
        match node:
            case AllOf(operands=operands):
                for operand in operands:
                    nothing = nothing.also(self._established(operand, known))
                return nothing
            case Apply(receiver=None, function="has", arguments=(Select(operand=Name(text="args"), field=name),)):
                return Known(nothing.tools, present=frozenset({name}))
            case Binary(operator="==" | "in", left=Name(text="tool"), right=right) if "tool" not in known.bound:
                return Known(self._named_tools(right) or nothing.tools)
            case Binary(operator="==", left=String() as left, right=Name(text="tool")) if "tool" not in known.bound:
                return Known(self._named_tools(left) or nothing.tools)
            case Binary(operator=operator) if operator in RELATIONS:
                return Known(nothing.tools, sizes=frozenset(self._size_bound(node)))
            case _:
                return nothing

    def _plain_constant(self, node: Node) -> Constant | None:
        """A constant that can be read off without lowering: lowering twice at each level would be exponential."""
        match node:
            case Number(value=value, digits=digits):
                return Digits(value, digits)
            case String(value=text):
                return Word(text)
            case Name(text=name):
                return self._scope.constants.get(name)
            case Listing(items=items):
                return Items(tuple(Word(item.value) for item in items if isinstance(item, String)))
            case _:
                return None

    def _named_tools(self, node: Node) -> tuple[str, ...]:
        match self._plain_constant(node):
            case Word(value=name):
                return (name,)
            case Items(items=items):
                return tuple(item.value for item in items if isinstance(item, Word))
            case _:
                return ()

    def _size_bound(self, node: Binary) -> list[tuple[str, int]]:
        for measured, other, operator in (
            (node.left, node.right, node.operator),
            (node.right, node.left, _MIRRORED[node.operator]),
        ):
            name = _measured(measured)
            bound = self._plain_constant(other)
            if name is not None and isinstance(bound, Digits) and bound.digits == 0:
                return [(name, size) for size in _least(operator, bound.value)]
        return []

    # --- relations -----------------------------------------------------------------------------------

    def _relation(self, node: Binary, known: Known) -> Expr:
        left, right = self.here(node.left, known), self.here(node.right, known)
        match node.operator:
            case "==":
                return self._equal(left, right)
            case "!=":
                return Not(self._equal(left, right))
            case "<":
                return Lt(*_ordered(left, right))
            case "<=":
                return Le(*_ordered(left, right))
            case ">":
                lower_, upper = _ordered(left, right)
                return Lt(upper, lower_)
            case _:
                lower_, upper = _ordered(left, right)
                return Le(upper, lower_)

    def _equal(self, left: Here, right: Here) -> Expr:
        match left.operand, right.operand:
            case Typed(sort=ListSort()), Items():
                return _list_equal(left, right)
            case Items(), Typed(sort=ListSort()):
                return _list_equal(right, left)
            case Typed(sort=ListSort()), Typed(sort=ListSort()):
                raise Refused(right.start, "two list arguments cannot be compared; compare each with a list of constants")
            case Lowered(expr=expr), Word(value=text):
                return Eq(ir.Lower(expr), Const(text, StringSort()))
            case Word(value=text), Lowered(expr=expr):
                return Eq(ir.Lower(expr), Const(text, StringSort()))
            case _:
                one, other, _ = at_one_sort(left, right)
                return Eq(one, other)

    def _member(self, node: Binary, known: Known) -> Expr:
        left, right = self.here(node.left, known), self.here(node.right, known)
        match left.operand, right.operand:
            case Lowered(expr=expr), Items():
                words = (as_sort(word, StringSort(), left.source) for word in self._items_of(right))
                return Or(tuple(Eq(ir.Lower(expr), word) for word in words))
            case _, Items():
                own_sort(left)
                pairs = [at_one_sort(left, item) for item in self._items_of(right)]
                return Or(tuple(Eq(one, other) for one, other, _ in pairs))
            case _, Typed(expr=expr, sort=ListSort(item=item)):
                return ir.Member(as_sort(left, item, right.source), expr)
            case _:
                raise mismatch(right, "a list")

    def _items_of(self, of: Here) -> list[Here]:
        match of.operand, of.node:
            case Items(items=items), Listing(items=nodes):
                return [Here(item, node, self._text) for item, node in zip(items, nodes, strict=True)]
            case Items(items=items), _:
                return [Here(item, of.node, self._text) for item in items]
            case _:
                raise mismatch(of, "a list of constants")

    def _item(self, node: Node, known: Known) -> Digits | Word | Truth:
        here = self.here(node, known)
        match here.operand:
            case (Digits() | Word() | Truth()) as scalar:
                return scalar
            case _:
                raise Refused(here.start, f"a list holds constants only, found {kind(here.operand)} {here.source}")

    # --- arithmetic ----------------------------------------------------------------------------------

    def _negate(self, node: Unary, known: Known) -> Operand:
        here = _settled(self.here(node.operand, known))
        match here.operand:
            case Digits(value=value, digits=digits):
                return Digits(-value, digits)
            case Typed(expr=expr, sort=IntSort() | DecimalSort() as sort):
                return Typed(Neg(expr), sort)
            case _:
                raise mismatch(here, "int or decimal")

    def _arithmetic(self, node: Binary, known: Known) -> Operand:
        left, right = self.here(node.left, known), self.here(node.right, known)
        for side in (left, right):
            if not isinstance(own_sort(side), IntSort | DecimalSort):
                raise mismatch(side, "int or decimal")
        if node.operator not in {"+", "-"}:
            left, right = _settled(left), _settled(right)
        match node.operator:
            case "+" | "-":
                return self._sum(node, left, right)
            case "*":
                return self._product(node, left, right)
            case _:
                return self._quotient(node, left, right)

    def _sum(self, node: Binary, left: Here, right: Here) -> Operand:
        sign = 1 if node.operator == "+" else -1
        match left.operand, right.operand:
            case Digits(value=one, digits=digits), Digits(value=other, digits=more):
                scale = max(digits, more)
                return _limited(one * 10 ** (scale - digits) + sign * other * 10 ** (scale - more), scale, left)
            case _:
                first, second, sort = at_one_sort(left, right)
                return Typed(Add(first, second) if sign > 0 else Sub(first, second), sort)

    def _product(self, node: Binary, left: Here, right: Here) -> Operand:
        match left.operand, right.operand:
            case Digits(value=one, digits=digits), Digits(value=other, digits=more):
                return _limited(one * other, digits + more, left)
            case (Typed() as typed, Digits() as factor):
                return _multiple(typed, factor, right, left)
            case (Digits() as factor, Typed() as typed):
                return _multiple(typed, factor, left, right)
            case _:
                raise Refused(node.operator_span.start, "one side of `*` must be a constant; no proof could follow a product")

    def _quotient(self, node: Binary, left: Here, right: Here) -> Operand:
        divide = Div if node.operator == "/" else Mod
        match right.operand:
            case Digits(value=divisor, digits=0) if divisor > 0:
                pass
            case _:
                message = f"the right side of `{node.operator}` must be a positive int constant, found {right.source}"
                raise Refused(right.start, message)
        match left.operand:
            case Digits(value=value, digits=0):
                quotient = abs(value) // divisor * (1 if value >= 0 else -1)
                return Digits(quotient if divide is Div else value - divisor * quotient, 0)
            case Typed(expr=expr, sort=IntSort()):
                return Typed(divide(expr, divisor), IntSort())
            case _:
                raise mismatch(left, "int")

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
                return Lowered(self._string(node.receiver, known))
            case _:
                raise _no_such_function(node, METHODS, "method")

    def _function(self, node: Apply, known: Known) -> Operand:
        match node.function:
            case "has":
                _arity(node, 1)
                return Typed(self._has(node.arguments[0], known), BoolSort())
            case "size":
                _arity(node, 1)
                return self._size(node.arguments[0], known)
            case _:
                raise _no_such_function(node, FUNCTIONS, "function")

    def _has(self, node: Node, known: Known) -> Expr:
        match node:
            case Select(operand=Name(text="args")) if self._scope.arguments:
                argument = self._argument(node, known)
                return Has(argument.name) if argument.optional else ir.TRUE
            case _:
                raise Refused(node.span.start, "`has` takes an argument of the call; write `has(args.NAME)`")

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

    def _string(self, node: Node, known: Known) -> Expr:
        return as_sort(self.here(node, known), StringSort())

    def _part_test(self, node: Apply, receiver: Node, known: Known) -> Expr:
        test = PART_TESTS[node.function]
        subject, part = self.here(receiver, known), self.here(node.arguments[0], known)
        if isinstance(subject.operand, Lowered):
            if not isinstance(part.operand, Word):
                raise Refused(part.start, f"`lowerAscii()` needs a constant in `{node.function}`, found {part.source}")
            return test(ir.Lower(subject.operand.expr), as_sort(part, StringSort()))
        return test(as_sort(subject, StringSort()), as_sort(part, StringSort()))

    def _matches(self, node: Apply, receiver: Node, known: Known) -> Expr:
        subject, pattern = self.here(receiver, known), self.here(node.arguments[0], known)
        if not isinstance(pattern.operand, Word):
            raise Refused(pattern.start, f"`matches` takes a constant pattern, found {kind(pattern.operand)} {pattern.source}")
        _check_pattern(pattern)
        if isinstance(subject.operand, Lowered):
            return ir.Matches(ir.Lower(subject.operand.expr), pattern.operand.value)
        return ir.Matches(as_sort(subject, StringSort()), pattern.operand.value)

    def _quantifier(self, node: Apply, receiver: Node, known: Known) -> Expr:
        _arity(node, 2)
        over = self.here(receiver, known)
        match over.operand:
            case Typed(expr=expr, sort=ListSort(item=item)):
                pass
            case _:
                raise mismatch(over, "a list argument")
        variable, body = node.arguments
        if not isinstance(variable, Name):
            raise Refused(variable.span.start, f"`{node.function}` takes a name first, as in `{node.function}(x, x != '')`")
        self._check_fresh(variable, known)
        self._quantifiers += 1
        fresh = f"{variable.text}_{self._quantifiers}"
        lowered = self._bool(body, known.with_bound(variable.text, fresh, item))
        return QUANTIFIERS[node.function](Bound(fresh, item), expr, lowered)

    def _check_fresh(self, variable: Name, known: Known) -> None:
        taken = {*self._scope.constants, *self._scope.facts, *known.bound, *later.NAMES, "args", "state", "tool"}
        if variable.text in taken | RESERVED:
            raise Refused(variable.span.start, f"{shown(variable.text)} means something already; use another name")


_MIRRORED: Final = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


def _measured(node: Node) -> str | None:
    match node:
        case Apply(receiver=None, function="size", arguments=(Select(operand=Name(text="args"), field=name),)):
            return name
        case Apply(receiver=Select(operand=Name(text="args"), field=name), function="size", arguments=()):
            return name
        case _:
            return None


def _least(operator: str, bound: int) -> list[int]:
    match operator:
        case "==" | ">=":
            return [bound]
        case ">":
            return [bound + 1]
        case "!=" if bound == 0:
            return [1]
        case _:
            return []


def _ordered(left: Here, right: Here) -> tuple[Expr, Expr]:
    one, other, sort = at_one_sort(left, right)
    if not isinstance(sort, IntSort | DecimalSort | StringSort):
        raise mismatch(left, "int, decimal or string")
    return one, other


def _list_equal(argument: Here, constants: Here) -> Expr:
    match argument.operand, constants.operand:
        case Typed(expr=expr, sort=ListSort(item=item, max_size=max_size)), Items(items=items):
            pass
        case _:
            raise mismatch(argument, "a list argument")
    wanted = [as_sort(Here(value, constants.node, constants.text), item, argument.source) for value in items]
    if len(wanted) > max_size:
        return FALSE
    same_size = Eq(Size(expr), Const(len(wanted), IntSort()))
    return And((same_size, *(Eq(Index(expr, at), value) for at, value in enumerate(wanted))))


def _settled(here: Here) -> Here:
    return replace(here, operand=standing_alone(here)) if isinstance(here.operand, Either) else here


def _limited(value: int, digits: int, here: Here) -> Digits:
    if abs(value) >= 10**MAX_DIGITS or digits > MAX_DIGITS:
        raise Refused(here.start, f"this constant has more than {MAX_DIGITS} digits; write a shorter one")
    return Digits(value, digits)


def _multiple(typed: Typed, factor: Digits, constant: Here, other: Here) -> Typed:
    match typed.sort:
        case IntSort() if factor.digits == 0:
            return Typed(Mul(typed.expr, factor.value), IntSort())
        case DecimalSort(scale=scale) if scale + factor.digits <= MAX_SCALE:
            return Typed(Mul(typed.expr, factor.value), DecimalSort(scale + factor.digits))
        case DecimalSort():
            raise Refused(constant.start, f"the product would have more than {MAX_SCALE} digits behind the point")
        case _:
            message = f"{constant.source} needs a decimal beside it, found int {other.source}; write it without a point"
            raise Refused(constant.start, message)


def _arity(node: Apply, count: int) -> None:
    if len(node.arguments) != count:
        message = f"`{node.function}` takes {count} argument{'' if count == 1 else 's'}, found {len(node.arguments)}"
        raise Refused(node.function_span.start, message)


def _no_such_function(node: Apply, known: frozenset[str], what: str) -> Refused:
    name, start = node.function, node.function_span.start
    if name in later.FUNCTIONS:
        return Refused(start, f"`{name}` is {later.NOT_YET}")
    if name in METHODS and what == "function":
        return Refused(start, f"`{name}` is a method; write `x.{name}(...)`")
    if name in FUNCTIONS and what == "method":
        return Refused(start, f"`{name}` is a function; write `{name}(args.NAME)`")
    return Refused(start, f"{shown(name)} is no {what} of this language{near_miss(name, known)}")


def _check_pattern(here: Here) -> None:
    from sandbox.regex import PatternError, check_pattern  # noqa: PLC0415 - RE2 loads only where there are patterns

    if not isinstance(here.operand, Word):
        return
    try:
        check_pattern(here.operand.value)
    except PatternError as error:
        inside = here.node.offsets[error.offset] if isinstance(here.node, String) else here.start
        raise Refused(inside, f"the pattern is refused: {error.message}") from None
