"""A tool for the conformance suite: what types its arguments have."""

from __future__ import annotations


def types_of(one: object, many: object, text: object) -> list[str]:
    return [repr(one), repr(many), repr(text)]
