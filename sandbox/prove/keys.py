"""What is said of all keys of a map, without a quantifier: at every key that a query reads, and at one of its own.

A query is encoded twice: at first to see which keys it reads. Then each `AllKeys` is said at all of them, whether they
are read by an argument, a constant or another `AllKeys`, and at a constant that is made for it alone; why that is sound
is said at `Environment`. It is also enough, where no `AllKeys` stands within another one: from a model of what is said,
let the maps keep nothing but what was read. Nothing that was read changes, and what is said of all keys is true.
Within another one it may not be enough, for each key of the outer one makes a further key of the inner one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import z3

from sandbox.encode import Environment, in_range, single, symbol
from sandbox.ir import Bound, EnumType, StringType
from sandbox.prove.nodes import nodes_in
from sandbox.regex import to_z3

OWN_KEY: Final = "key@"
"""With which the names of the keys begin that are made for one `AllKeys` each."""

Said: TypeAlias = Callable[[Environment], Iterable[z3.BoolRef]]


@dataclass(slots=True)
class Keyring:
    """The keys of one query: those that are known to be read, and how many were made or asked for."""

    ctx: z3.Context
    read: tuple[z3.ExprRef, ...] = ()
    made: int = 0
    asked: bool = False

    def __call__(self, variable: Bound) -> tuple[z3.ExprRef, ...]:
        """The keys for one `AllKeys`, the last of them its own."""
        self.made += 1
        own = single(symbol(f"{OWN_KEY}{self.made}", variable.sort, self.ctx))
        return (*self.of(own.sort()), own)

    def of(self, sort: z3.SortRef) -> tuple[z3.ExprRef, ...]:
        """The keys of this sort that are read anywhere in the query."""
        self.asked = True
        return tuple(key for key in self.read if key.sort() == sort)


def read_keys(env: Environment, sort: z3.SortRef) -> tuple[z3.ExprRef, ...]:
    """The keys of this sort that are read in the query which the environment belongs to."""
    return env.keys.of(sort) if isinstance(env.keys, Keyring) else ()


def at_every_key(env: Environment, said: Said) -> tuple[z3.BoolRef, ...]:
    """What is said in the environment, each `AllKeys` at every key that is read in it."""
    first = Keyring(env.ctx)
    terms = tuple(said(replace(env, keys=first)))
    if not first.asked:
        return terms
    return tuple(said(replace(env, keys=Keyring(env.ctx, keys_in(terms)))))


def keys_in(terms: Iterable[z3.BoolRef]) -> tuple[z3.ExprRef, ...]:
    """Every key at which an array is read or written in the terms, in the order in which they are met."""
    found: dict[int, z3.ExprRef] = {}
    for node in nodes_in(terms):
        if node.kind in {z3.Z3_OP_SELECT, z3.Z3_OP_STORE} and node.children[1] not in found:
            found[node.children[1]] = node.child(1).term()
    return tuple(found.values())


def of_type(key: z3.ExprRef, type_: StringType | EnumType | None, ctx: z3.Context) -> list[z3.BoolRef]:
    """That a key is of the declared type; of a string no more than its pattern, which is what proofs may need."""
    match type_:
        case EnumType(values=values):
            return [in_range(key, 0, len(values) - 1, ctx)]
        case StringType(pattern=str() as pattern):
            return [z3.InRe(key, to_z3(pattern, mode="full", ctx=ctx))]
        case _:
            return []
