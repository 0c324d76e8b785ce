"""What one decision can cost at worst, from the bytes to the solver's answer, bounded when the spec is loaded.

A step is about a tenth of a microsecond; what each thing costs was measured (`benchmarks/worst.py` searches for a spec
and a call that slip through). Reading is linear in characters and values; of the engines the solver's is the slower: it
has a constant for each value, a term for each part of a rule, every quantifier written out for each element that a list
can have, and the automaton of a pattern for each string.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from sandbox.compile.measure import MAX_PARTS, Measures
from sandbox.ir import (
    EMAIL_SORT,
    SHELL_WORDS,
    URL_SORT,
    All,
    ArgType,
    Argument,
    ArgvType,
    Assignment,
    Bound,
    Const,
    Contains,
    Contract,
    DecimalType,
    DurationType,
    EmailType,
    EndsWith,
    Eq,
    Exists,
    ExistsOne,
    Expr,
    Field,
    InSet,
    Ite,
    Le,
    ListType,
    Lower,
    Lt,
    MapGet,
    Matches,
    Member,
    Or,
    PathType,
    RecordType,
    Rule,
    SetAdd,
    SetRemove,
    ShellType,
    StartsWith,
    StringType,
    TextType,
    Tool,
    UrlType,
)
from sandbox.lang.reach import (
    MAX_ARGV,
    MAX_URL,
    MAX_WORD,
    Command,
    Reached,
    bound,
    declared,
    element_of,
    element_on_average,
    most_size,
)
from sandbox.lang.walk import parts
from sandbox.origins import MAX_ALIKE, origins_asked
from sandbox.regex.atoms import tells_beyond_ascii
from sandbox.stages import stages_of
from sandbox.strict_json import MAX_DIGITS

Types: TypeAlias = Mapping[str, Reached]

MAX_COST: Final = 350_000
"""Steps of one decision: 35 ms, so that with the way to the solver's process and back it stays below 50 ms."""

SMALLER: Final = "declare smaller sizes (without a `max_size` a list has 32 items and a string 4,096 characters)"
"""What to do about it."""

MAX_TERMS: Final = 100_000
"""Terms of one tool once its quantifiers are written out: the solver builds them in about a second."""

LOOKUP: Final = 30
"""Of a lookup in a set or map: its key is checked against its type, whatever the set holds."""

MAX_PATH: Final = 4_096
"""Characters of a path."""

TERM_STEPS: Final = 10
"""Of one term: to put values in and to simplify."""
VALUE_STEPS: Final = 40
"""Of one single value: to hand it to the solver, as a constant of its own."""
SEARCHED: Final = (7, 10)
"""Steps for so many characters that are searched for a constant part."""
MATCHED: Final = (1, 1)
"""Steps for so many characters that a pattern's automaton reads, where they may be any."""
MATCHED_BEYOND: Final = (3, 1)
"""The same, where the automaton tells characters beyond ASCII apart."""
MATCHED_ASCII: Final = (6, 10)
"""The same, where they can be ASCII only, or take so many bytes beyond that they are few."""
COMPARED: Final = (1, 10)
"""Steps for so many characters of two strings that are compared with one another, or of a key that is looked up."""
PAIRED: Final = (1, 100)
"""Steps for so many pairs of characters, in the search for a part that is no constant."""

READ: Final = (7, 10)
"""Steps for so many characters of a string, from the bytes to its canonical text and on to the solver."""
READ_TEXT: Final = (1, 8)
"""The same of a text, which no engine sees."""
READ_VALUE: Final = 20
"""Of one single value."""
READ_PATTERN: Final = 15
"""Of a pattern beside it."""
READ_AGAIN: Final = 10
"""Of an item that has to differ from all others."""
READ_RECORD: Final = 30
READ_DURATION: Final = 160
READ_EMAIL: Final = 700
READ_DIGIT: Final = (1, 1)
"""Steps for so many digits of a decimal."""
READ_URL: Final = 350

ORIGIN_VALUE: Final = 200
"""Of one single value of which an origin is asked: it is looked up by two keyed digests."""
ORIGIN_READ: Final = (1, 1)
"""Steps for so many of its characters, as far as it is found however it is spelt."""


@dataclass(frozen=True, slots=True)
class Term:
    """One rule or assignment, and what it costs."""

    path: tuple[str | int, ...]
    name: str
    cost: int


def check(contract: Contract, note: Callable[..., None]) -> None:
    """Notes a problem at the costliest term of every tool whose decision could cost too much."""
    for tool in contract.tools:
        _check_parts(tool, note)
        for judged in (tool, *stages_of(tool)):
            _check_written_out(contract, judged, note)
            _check_cost(contract, judged, note)


def _check_cost(contract: Contract, tool: Tool, note: Callable[..., None]) -> None:
    terms = tool_terms(contract, tool)
    total = sum(term.cost for term in terms)
    if total > MAX_COST:
        worst = max(terms, key=lambda term: term.cost)
        message = f"a decision could take {total:,} steps, of which {worst.name} takes {worst.cost:,}"
        message = f"{message}, and {MAX_COST:,} are allowed; {SMALLER}"
        note(message, *worst.path)


def _rules_at(tool: Tool) -> list[tuple[Rule, tuple[str | int, ...]]]:
    """Each rule of a tool, or of what is judged after its calls, with its path in the file."""
    name, _, stage = tool.name.partition("@")
    if stage:
        return [(rule, ("tools", name, stage, at)) for at, rule in enumerate(tool.rules)]
    return [(rule, ("tools", name, "rules", at, rule.kind)) for at, rule in enumerate(tool.rules)]


def _check_parts(tool: Tool, note: Callable[..., None]) -> None:
    measures = Measures()
    sizes = {argument.name: measures.of(argument.type).parts for argument in tool.arguments}
    total = sum(sizes.values())
    if total > MAX_PARTS:
        worst = max(sizes, key=lambda name: sizes[name])
        message = f"the arguments of `{tool.name}` are up to {total:,} values, of which this is {sizes[worst]:,}"
        note(f"{message}, and {MAX_PARTS:,} are allowed; declare shorter lists", "tools", tool.name, "args", worst)


def _check_written_out(contract: Contract, tool: Tool, note: Callable[..., None]) -> None:
    types = _types_of(contract, tool)
    sizes = [(written_out(rule.when, types), path) for rule, path in _rules_at(tool)]
    at = ("tools", tool.name)
    sizes += [(_written_out_in(step, types), (*at, key, step.target)) for key, step in _assignments(tool)]
    total = sum(size for size, _ in sizes)
    if total > MAX_TERMS:
        worst, path = max(sizes, key=lambda sized: sized[0])
        message = f"written out, the rules of `{tool.name}` are {total:,} terms, of which this is {worst:,}"
        message = f"{message}, and {MAX_TERMS:,} are allowed; declare shorter lists, or split the tool"
        note(message, *path)


def _types_of(contract: Contract, tool: Tool) -> dict[str, Reached]:
    facts: dict[str, Reached] = {f"session.{fact.name}": fact.type for fact in contract.session}
    return facts | {argument.name: argument.type for argument in tool.arguments}


def written_out(expr: Expr, types: Types) -> int:
    """How many terms an expression is once every quantifier stands there for each element."""
    match expr:
        case All() | Exists() | ExistsOne():
            return 1 + _elements(expr.over, types) * (1 + written_out(expr.body, _inside(expr, types)))
        case Member(item=item, of=of):
            return 1 + written_out(item, types) + 2 * _elements(of, types)
        case _:
            return 1 + sum(written_out(part, types) for part in parts(expr))


def tool_terms(contract: Contract, tool: Tool) -> list[Term]:
    """What each argument, rule and assignment of a tool costs at worst."""
    types = _types_of(contract, tool)
    name = tool.name.partition("@")[0]
    at = ("tools", name)
    asked = frozenset(each.argument for each in origins_asked(tool)) if tool.name == name else frozenset[str]()
    arguments = [
        Term((*at, "args", each.name), f"the argument `{each.name}`", value_cost(each.type) + known_cost(each, asked))
        for each in tool.arguments
        if "@" not in each.name  # what comes after a call was never bytes of the model's
    ]
    rules = [Term(path, f"rule `{rule.id}`", cost(rule.when, types)) for rule, path in _rules_at(tool)]
    return [*arguments, *rules] + [
        Term((*at, key, step.target), f"`{key}` of `{step.target}`", _cost_of(step, types))
        for key, step in _assignments(tool)
    ]


def _assignments(tool: Tool) -> list[tuple[str, Assignment]]:
    return [*(("then", step) for step in tool.then), *(("on_success", step) for step in tool.on_success)]


def _written_out_in(step: Assignment, types: Types) -> int:
    return written_out(step.value, types) + (0 if step.key is None else written_out(step.key, types))


def _cost_of(step: Assignment, types: Types) -> int:
    if step.key is None:
        return cost(step.value, types)
    return cost(step.value, types) + cost(step.key, types) + LOOKUP + _steps(COMPARED, _characters(step.key, types))


def value_cost(type_: ArgType) -> int:
    """Steps to read the largest value of a type, and to hand it to the solver."""
    match type_:
        case ListType(items=items, max_size=size, unique=unique):
            return VALUE_STEPS + size * (value_cost(items) + (READ_AGAIN if unique else 0))
        case RecordType(fields=fields):
            return READ_RECORD + sum(value_cost(field.type) for field in fields)
        case ArgvType(max_size=size):
            return size * (READ_VALUE + VALUE_STEPS) + _steps(READ, min(size * MAX_WORD, MAX_ARGV))
        case ShellType(max_size=size):
            return SHELL_WORDS * (READ_VALUE + VALUE_STEPS) + _steps(READ, size)
        case TextType(max_size=size):
            return READ_VALUE + VALUE_STEPS + _steps(READ_TEXT, size)
        case StringType(max_size=size, pattern=pattern):
            return READ_VALUE + VALUE_STEPS + _steps(READ, size) + (READ_PATTERN if pattern is not None else 0)
        case PathType():
            return READ_VALUE + VALUE_STEPS + _steps(READ, MAX_PATH)
        case UrlType():
            return READ_URL + len(URL_SORT.fields) * VALUE_STEPS + _steps(READ, MAX_URL)
        case EmailType():
            return READ_EMAIL + len(EMAIL_SORT.fields) * VALUE_STEPS
        case DurationType():
            return READ_DURATION + VALUE_STEPS
        case DecimalType(minimum=low, maximum=high):
            digits = MAX_DIGITS if low is None or high is None else max(len(str(low)), len(str(high)))
            return READ_VALUE + VALUE_STEPS + _steps(READ_DIGIT, digits)
        case _:
            return READ_VALUE + VALUE_STEPS


def known_cost(argument: Argument, asked: frozenset[str]) -> int:
    """Steps to find out where the largest value of an argument comes from, if a rule asks."""
    return origin_cost(argument.type) if argument.name in asked else 0


def origin_cost(type_: ArgType) -> int:
    """Steps to look up every single value of a type."""
    match type_:
        case ListType(items=items, max_size=size):
            return size * origin_cost(items)
        case RecordType(fields=fields):
            return sum(origin_cost(field.type) for field in fields)
        case ArgvType(max_size=size):
            return size * ORIGIN_VALUE + _steps(ORIGIN_READ, min(size * MAX_WORD, MAX_ARGV))
        case ShellType(max_size=size):
            return SHELL_WORDS * ORIGIN_VALUE + 2 * _steps(ORIGIN_READ, size)
        case StringType(max_size=size) | TextType(max_size=size):
            return ORIGIN_VALUE + _steps(ORIGIN_READ, min(size, MAX_ALIKE))
        case PathType():
            return ORIGIN_VALUE + _steps(ORIGIN_READ, MAX_PATH)
        case UrlType():
            return ORIGIN_VALUE + _steps(ORIGIN_READ, MAX_URL)
        case _:
            return ORIGIN_VALUE


def cost(expr: Expr, types: Types) -> int:
    """Steps to evaluate an expression on the largest call, in both engines.

    All the commands of a shell line have as many words together as one may have, so that each has one on average.
    """
    match expr:
        case All(over=Bound() as over) | Exists(over=Bound() as over) | ExistsOne(over=Bound() as over) if isinstance(
            declared(over, types), Command
        ):
            return _elements(over, types) * TERM_STEPS + cost(expr.body, _inside(expr, types))
        case All() | Exists() | ExistsOne():
            return TERM_STEPS + _elements(expr.over, types) * (2 * TERM_STEPS + cost(expr.body, _inside(expr, types)))
        case Or(operands=operands) if all(isinstance(each, Eq) and isinstance(each.right, Const) for each in operands):
            return len(operands) * TERM_STEPS + sum(_compared(each, types) for each in operands)
    inner = TERM_STEPS + sum(cost(part, types) for part in parts(expr))
    match expr:
        case Member(of=of):
            return inner + _elements(of, types) * (2 * TERM_STEPS + _steps(COMPARED, _characters(of, types)))
        case Contains(subject=subject, part=Const()):
            return inner + _steps(SEARCHED, _characters(subject, types)) + _lowered(subject, types)
        case Contains(subject=subject, part=part):
            return inner + _steps(PAIRED, _characters(subject, types) * _characters(part, types))
        case StartsWith(part=Const(value=str() as part)) | EndsWith(part=Const(value=str() as part)):
            return inner + len(part) + _lowered(expr.subject, types)
        case StartsWith(subject=subject) | EndsWith(subject=subject):
            return inner + 2 * _characters(subject, types)
        case Matches(subject=subject, pattern=pattern):
            rate = _rate(subject, pattern, types)
            return inner + _steps(rate, _characters(subject, types)) + _lowered(subject, types)
        case InSet(item=key) | SetAdd(item=key) | SetRemove(item=key) | MapGet(key=key):
            return inner + LOOKUP + _steps(COMPARED, _characters(key, types))
        case Lt() | Le() | Eq():
            return inner + _compared(expr, types)
        case _:
            return inner


def _compared(expr: Expr, types: Types) -> int:
    match expr:
        case Lt(left=left, right=right) | Le(left=left, right=right) | Eq(left=left, right=right):
            one, other = _characters(left, types), _characters(right, types)
            return _steps(COMPARED, min(one, other)) + _lowered(left, types) + _lowered(right, types)
        case _:
            return 0


def _lowered(subject: Expr, types: Types) -> int:
    """What `lowerAscii` of a subject costs."""
    return _steps(SEARCHED, _characters(subject, types)) if isinstance(subject, Lower) else 0


def _rate(subject: Expr, pattern: str, types: Types) -> tuple[int, int]:
    """Steps for characters that a pattern's automaton reads."""
    plain = not tells_beyond_ascii(pattern)
    match subject.operand if isinstance(subject, Lower) else subject:
        case Field(of=of) if isinstance(declared(of, types), UrlType | EmailType):
            return MATCHED_ASCII
        case inner if isinstance(declared(inner, types), PathType):
            return MATCHED_ASCII if plain else MATCHED
        case _:
            return MATCHED if plain else MATCHED_BEYOND


def _steps(rate: tuple[int, int], count: int) -> int:
    steps, each = rate
    return -(-count * steps // each)


def _elements(expr: Expr, types: Types) -> int:
    return most_size(declared(expr, types))


def _inside(quantifier: All | Exists | ExistsOne, types: Types) -> dict[str, Reached]:
    over = declared(quantifier.over, types)
    element = None if over is None else element_on_average(over)
    return {**types} if element is None else {**types, bound(quantifier.variable.name): element}


def _characters(expr: Expr, types: Types) -> int:
    match expr:
        case Lower(operand=operand):
            return _characters(operand, types)
        case Ite(then=then, otherwise=otherwise):
            return max(_characters(then, types), _characters(otherwise, types))
        case _:
            return _longest(declared(expr, types))


def _longest(type_: Reached | None) -> int:
    match type_:
        case StringType(max_size=size):
            return size
        case PathType():
            return MAX_PATH
        case ListType() | ArgvType() | ShellType() | Command():
            element = element_of(type_)
            return _longest(element)
        case _:
            return 1
