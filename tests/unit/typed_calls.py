"""One value of one type, through the whole of parse: what the tables of the types are checked with."""

from __future__ import annotations

import json
from collections.abc import Iterable

from sandbox.call import Call, Rejected, Value
from sandbox.canonical import raw_value
from sandbox.ir import ArgType, Argument, Contract, Tool
from sandbox.parse import parse_call


def call_of(type_: ArgType, raw: object) -> Call | Rejected:
    """The call with the one argument `x`."""
    contract = Contract("c", (Tool("t", (Argument("x", type_),), ()),))
    return parse_call(json.dumps({"tool": "t", "args": {"x": raw}}).encode(), contract)


def value_of(type_: ArgType, raw: object) -> Value:
    call = call_of(type_, raw)
    assert isinstance(call, Call), (raw, call)
    return call.args["x"]


def canonical(type_: ArgType, raw: object) -> object:
    """The canonical JSON of the value, which is read back as itself."""
    call = call_of(type_, raw)
    assert isinstance(call, Call), (raw, call)
    again = call_of(type_, raw_value(call.args["x"], type_))
    assert isinstance(again, Call), (raw, again)
    assert (again.canonical, again.args) == (call.canonical, call.args)
    return json.loads(call.canonical)["args"]["x"]


def code(type_: ArgType, raw: object) -> str:
    """The reason code of a refusal whose reason is one short line that names the argument."""
    refused = call_of(type_, raw)
    assert isinstance(refused, Rejected), (raw, refused)
    assert refused.reason.isprintable()
    assert refused.reason.isascii()
    assert len(refused.reason) < 500
    assert refused.reason.startswith("argument `x`")
    return refused.reason_code


def misjudged(type_: ArgType, refused: Iterable[tuple[object, str]]) -> list[tuple[object, str]]:
    """Of hostile inputs with their reason codes, those with another code or with a reason that is no short line."""
    return [(raw, found) for raw, expected in refused if (found := judged(type_, raw)) != expected]


def judged(type_: ArgType, raw: object) -> str:
    """The reason code; else what is wrong with the answer."""
    refused = call_of(type_, raw)
    if not isinstance(refused, Rejected):
        return f"accepted: {refused}"
    fit = refused.reason.isprintable() and refused.reason.isascii() and len(refused.reason) < 500
    return refused.reason_code if fit and refused.reason.startswith("argument `x`") else f"reason: {refused.reason}"
