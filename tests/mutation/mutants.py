"""One change at a time: what a slip of the hand in a twin would look like."""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.BitOr: ast.BitAnd,
}
NAMES = {"any": "all", "all": "any", "conjunction": "disjunction", "disjunction": "conjunction", "min": "max"}
ATTRIBUTES = {
    "startswith": "endswith",
    "endswith": "startswith",
    "Implies": "And",
    "And": "Or",
    "Or": "And",
    "PrefixOf": "SuffixOf",
    "SuffixOf": "PrefixOf",
    "length": "beyond",
}
OPERATIONS = {  # of `operator` and `str`, where the function itself is handed on
    "eq": "ne",
    "lt": "le",
    "le": "lt",
    "gt": "ge",
    "ge": "gt",
    "add": "sub",
    "sub": "add",
    "contains": "eq",
    "startswith": "endswith",
    "endswith": "startswith",
}
TEXTS = {
    "startswith": "endswith",
    "endswith": "startswith",
    "starts": "ends",
    "ends": "contains",
    "contains": "starts",
    "search": "full",
    "is": "contains",
}

ENTRY = re.compile(r", (?=operator\.|str\.|is_in)|(?<=\{)")
"""Between the entries of a table, which is one line."""


@dataclass(frozen=True)
class Mutant:
    """A changed source, and its one changed line, in the function (or table) of this name, before and after."""

    function: str
    before: str
    after: str
    source: str


class Unannotated(ast.NodeTransformer):
    """Takes the annotations off functions: they are never evaluated, and no test could notice a change to one."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        node.returns = None
        for argument in (*node.args.args, *node.args.kwonlyargs):
            argument.annotation = None
        return node


def mutants(source: str, names: frozenset[str]) -> Iterator[Mutant]:
    """Every single change to these functions, to the methods with such names, and to the tables."""
    body = Unannotated().visit(ast.parse(source)).body
    texts = [ast.unparse(node) for node in body]
    for place, top in enumerate(body):
        for number, (name, part) in enumerate(named_in(top)):
            if name not in names:
                continue
            for inner, variant in alterable(part):
                changed = copy.deepcopy(top)
                altered(list(ast.walk(named_in(changed)[number][1]))[inner], variant)
                text = ast.unparse(changed)
                before, after = changed_line(texts[place], text)
                yield Mutant(name, before, after, "\n".join([*texts[:place], text, *texts[place + 1 :]]))


def named_in(top: ast.stmt) -> list[tuple[str, ast.AST]]:
    """The function itself, or the methods of the class, or the value of the table, by name."""
    match top:
        case ast.FunctionDef(name=name):
            return [(name, top)]
        case ast.ClassDef(body=body):
            return [(node.name, node) for node in body if isinstance(node, ast.FunctionDef)]
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            return [(name, value)]
        case _:
            return []


def changed_line(before: str, after: str) -> tuple[str, str]:
    """The line that differs, in both; a table, which is one line, is told by the entry."""
    for old, new in zip(before.splitlines(), after.splitlines(), strict=True):
        if old != new:
            entries = zip(ENTRY.split(old), ENTRY.split(new), strict=True)
            return next((one.strip(), other.strip()) for one, other in entries if one != other)
    message = "nothing is changed"
    raise ValueError(message)


def alterable(function: ast.AST) -> list[tuple[int, int]]:
    """The positions among the nodes, with the variant, where there is something to change."""
    nodes = [(at, node) for at, node in enumerate(ast.walk(function)) if isinstance(node, ast.expr | ast.Return)]
    return [(at, variant) for at, node in nodes for variant in range(2) if altered(copy.deepcopy(node), variant)]


def altered(node: ast.AST, variant: int) -> bool:
    """Change the node in place; false where there is nothing to change (in this variant)."""
    match node, variant:
        case ast.Compare(ops=[op]), 0 if type(op) in COMPARISONS:
            node.ops = [COMPARISONS[type(op)]()]
        case ast.BinOp(op=op), 0 if type(op) in ARITHMETIC:
            node.op = ARITHMETIC[type(op)]()
        case ast.Call(func=ast.Name(id=name)), 0 if name in NAMES:
            node.func = ast.copy_location(ast.Name(NAMES[name], ast.Load()), node.func)
        case ast.Call(func=ast.Attribute(attr=name)), 0 if name in ATTRIBUTES:
            node.func.attr = ATTRIBUTES[name]
        case ast.Attribute(value=ast.Name(id="operator" | "str"), attr=name), 0 if name in OPERATIONS:
            node.attr = OPERATIONS[name]
        case ast.Constant(value=str() as text), 0 if text in TEXTS:
            node.value = TEXTS[text]
        case ast.Constant(value=bool() as truth), 0:
            node.value = not truth
        case ast.Constant(value=int() as number), 0:
            node.value = number + 1
        case ast.UnaryOp(op=ast.USub() | ast.Not(), operand=operand), 0:
            node.op = ast.UAdd() if isinstance(node.op, ast.USub) else ast.Not()
            node.operand = operand if isinstance(node.op, ast.UAdd) else ast.UnaryOp(ast.Not(), operand)
            ast.fix_missing_locations(node)
        case ast.IfExp(body=body, orelse=orelse), 0:
            node.body, node.orelse = orelse, body
        case ast.BoolOp(), 0:
            node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        case ast.Return(value=ast.Lambda(body=body) as function), 1 if not isinstance(body, ast.Constant):
            function.body = ast.copy_location(ast.Constant(value=False), body)
        case _:
            return False
    return True
