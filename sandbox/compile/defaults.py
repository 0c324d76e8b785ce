"""`default:` as an author writes it in YAML -> the JSON that stands for an absent value."""

from __future__ import annotations

import json

from sandbox.spec.document import Entries, Scalar
from sandbox.spec.fields import is_number, is_string
from sandbox.strict_json import JsonNumber, Tree


def tree_of(written: object) -> Tree:
    """The JSON tree of a YAML value; a number keeps its digits, and what is no JSON value is null."""
    match written:
        case Entries():
            return {key: tree_of(value) for key, value in written.items()}
        case list():
            return [tree_of(item) for item in written]
        case Scalar(plain=True, text="true" | "false" as text):
            return text == "true"
        case Scalar() as scalar if scalar.plain and is_number(scalar.text):
            return JsonNumber(scalar.text)
        case Scalar() as scalar if is_string(scalar):
            return scalar.text
        case _:
            return None


def json_text(tree: Tree) -> str:
    """The tree as JSON, its numbers digit by digit."""
    match tree:
        case JsonNumber():
            return str(tree)
        case list():
            return f"[{','.join(json_text(item) for item in tree)}]"
        case dict():
            return f"{{{','.join(f'{json.dumps(key)}:{json_text(value)}' for key, value in tree.items())}}}"
        case _:
            return json.dumps(tree)
