"""Unit: of every type there is a table of hostile inputs, each with the reason code that it is refused with.

The tables stand with the tests of their types, which check each input; here they are counted.
"""

from __future__ import annotations

import json
from typing import get_args

import pytest
import test_parse
import test_types_email
import test_types_record
import test_types_times
import test_types_url
import test_types_words

from sandbox.ir import (
    ArgType,
    ArgvType,
    BoolType,
    DecimalType,
    DurationType,
    EmailType,
    EnumType,
    IntType,
    ListType,
    PathType,
    RecordType,
    ShellType,
    StringType,
    TextType,
    TimestampType,
    UrlType,
)

LEAST = 30


def raw_json(kind: type[ArgType]) -> list[str]:
    return [raw for type_, raw, _ in test_parse.REFUSED if isinstance(type_, kind)]


RECORDS = [json.dumps(raw) for type_, raw, _ in test_types_record.HOSTILE if isinstance(type_, RecordType)]
TABLES: dict[type[ArgType], list[str]] = {
    **{kind: raw_json(kind) for kind in (BoolType, IntType, DecimalType, StringType, TextType, EnumType, PathType)},
    ListType: raw_json(ListType),
    RecordType: RECORDS,
    UrlType: [json.dumps(raw) for raw, _ in test_types_url.HOSTILE],
    EmailType: [json.dumps(raw) for raw, _ in test_types_email.HOSTILE],
    TimestampType: [json.dumps(raw) for raw, _ in test_types_times.HOSTILE_INSTANTS],
    DurationType: [json.dumps(raw) for raw, _ in test_types_times.HOSTILE_DURATIONS],
    ShellType: [json.dumps(raw) for raw, _ in test_types_words.HOSTILE_LINES],
    ArgvType: [json.dumps(raw) for raw, _ in test_types_words.HOSTILE_ARGVS],
}


def kinds(union: object) -> set[type]:
    """The types of a union, and of the unions in it."""
    return {kind for part in get_args(union) for kind in (kinds(part) or {part})}


@pytest.mark.parametrize("kind", TABLES, ids=lambda kind: kind.__name__)
def test_there_are_at_least_thirty_hostile_inputs_of_the_type(kind: type[ArgType]) -> None:
    assert len(set(TABLES[kind])) >= LEAST


def test_every_type_has_such_a_table() -> None:
    assert set(TABLES) == kinds(ArgType)
