"""One change at a time: what a slip of the hand in a twin would look like."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

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

Path: TypeAlias = tuple[tuple[str, int | None], ...]


@dataclass(frozen=True)
class Mutant:
    """A changed source, and where it was changed."""

    function: str
    line: int
    change: str
    source: str


class Unannotated(ast.NodeTransformer):
    """Takes the annotations off functions: they are never evaluated, and no test could notice a change to one."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        node.returns = None
        for argument in (*node.args.args, *node.args.kwonlyargs):
            argument.annotation = None
        return node


def mutants(source: str, functions: frozenset[str]) -> Iterator[Mutant]:
    """Every single change to the bodies of these functions, and of the methods with such names."""
    body = Unannotated().visit(ast.parse(source)).body
    texts = [ast.unparse(node) for node in body]
    for place, top in enumerate(body):
        for number, function in enumerate(functions_in(top)):
            if function.name not in functions:
                continue
            for inner, variant in alterable(function):
                changed = copy.deepcopy(top)
                target = list(ast.walk(functions_in(changed)[number]))[inner]
                change = altered(target, variant)
                text = "\n".join([*texts[:place], ast.unparse(changed), *texts[place + 1 :]])
                yield Mutant(function.name, target.lineno, change, text)


def functions_in(top: ast.stmt) -> list[ast.FunctionDef]:
    """The function itself, or the methods of the class."""
    nodes = top.body if isinstance(top, ast.ClassDef) else [top]
    return [node for node in nodes if isinstance(node, ast.FunctionDef)]


def alterable(function: ast.FunctionDef) -> list[tuple[int, int]]:
    """The positions among the function's nodes, with the variant, where there is something to change."""
    nodes = [(at, node) for at, node in enumerate(ast.walk(function)) if isinstance(node, ast.expr | ast.Return)]
    return [(at, variant) for at, node in nodes for variant in range(2) if altered(copy.deepcopy(node), variant)]


def altered(node: ast.AST, variant: int) -> str:
    """Change the node in place; '' where there is nothing to change (in this variant)."""
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
            return ""
    return type(node).__name__
