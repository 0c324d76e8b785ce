"""Command lines have two thousand places for words: those that nothing reads, and those that few calls fill, go away.

So do the places of a long list, where a call is looked for and not a proof: most that show something are short.

What is said of a word that nothing reads can always be met, by the empty word, so leaving it out changes no answer. So
it is with what is said of a URL's address beside its host: every host has one answer to `is_ip` and `is_private`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

import z3

from sandbox.encode import Environment, ListTerm, RecordTerm, Term, single
from sandbox.ir import ArgvType, ListType, ShellType, Tool, UrlType
from sandbox.prove.nodes import Node, Raw, nodes_in
from sandbox.regex import z3_string

ADDRESS: Final = ("is_ip", "is_private")

COMMANDS: Final = 3
WORDS: Final = 5
"""Commands of a line, and words of each: a counterexample that needs more is found in the whole domain, slowly."""

ITEMS: Final = 4
"""Items of a list above the least size: likewise. One, where all have to differ: strings that must are slow to find."""


def quiet(tool: Tool, env: Environment, terms: Iterable[z3.BoolRef]) -> Environment:
    """The environment, for the domain alone, with the empty word in place of every word that the terms never read.

    And without `is_ip` and `is_private` of a URL, where the terms read neither.
    """
    lines = [a.name for a in tool.arguments if isinstance(a.type, ArgvType | ShellType)]
    urls = [a.name for a in tool.arguments if isinstance(a.type, UrlType)]
    if not lines and not urls:
        return env
    read, empty = constants_in(terms), z3_string("", env.ctx)
    words = {name: _quieted(env.args[name], read, empty) for name in lines}
    return replace(env, args={**env.args, **words, **{name: _unasked(env.args[name], read) for name in urls}})


def _unasked(term: Term, read: frozenset[int]) -> Term:
    if not isinstance(term, RecordTerm) or any(single(term.parts[name]).get_id() in read for name in ADDRESS):
        return term
    return replace(term, parts={name: part for name, part in term.parts.items() if name not in ADDRESS})


def shortened(tool: Tool, env: Environment) -> Environment:
    """The environment in which command lines and long lists have few places; the same one, where there are none.

    It says what the whole one says of lines and lists that are no longer, which `narrow` demands.
    """
    short: dict[str, Term] = {}
    for each in tool.arguments:
        match each.type:
            case ArgvType() | ShellType():
                short[each.name] = _short(env.args[each.name])
            case ListType(min_size=low, max_size=high, unique=unique) if high > (
                most := low + (1 if unique else ITEMS)
            ):
                short[each.name] = few(env.args[each.name], most)
            case _:
                pass
    return replace(env, args={**env.args, **short}) if short else env


def few(term: Term, most: int) -> Term:
    """The first places of a list."""
    return replace(term, items=term.items[:most]) if isinstance(term, ListTerm) else term


def constants_in(terms: Iterable[z3.BoolRef]) -> frozenset[int]:
    """The ids of the free constants that stand in the terms."""
    return frozenset(node.id for node in nodes_in(terms, _no_pattern) if node.is_free())


def _no_pattern(node: Node) -> tuple[Raw, ...]:
    """A pattern has no constants that are free."""
    return node.children[:1] if node.kind == z3.Z3_OP_SEQ_IN_RE else node.children


def _short(term: Term) -> Term:
    if not isinstance(term, ListTerm):
        return term
    most = COMMANDS if any(isinstance(item, ListTerm) for item in term.items) else WORDS
    return replace(term, items=tuple(_short(item) for item in term.items[:most]))


def _quieted(term: Term, read: frozenset[int], empty: z3.SeqRef) -> Term:
    if isinstance(term, ListTerm):
        return replace(term, items=tuple(_quieted(item, read, empty) for item in term.items))
    return term if single(term).get_id() in read else empty
