"""Unit: timestamps and durations. What is accepted, its milliseconds and canonical text; what is refused."""

from __future__ import annotations

import pytest
from typed_calls import canonical, code, value_of

from sandbox.ir import DURATION_RANGE, TIMESTAMP_RANGE, DurationType, TimestampType

AT = TimestampType()
LASTS = DurationType()
HOUR = 3_600_000
DAY = 24 * HOUR


@pytest.mark.parametrize(
    ("raw", "unix_ms", "expected"),
    [
        ("1970-01-01T00:00:00Z", 0, "1970-01-01T00:00:00.000Z"),
        ("1970-01-01T00:00:00+00:00", 0, "1970-01-01T00:00:00.000Z"),
        ("1970-01-01T00:00:00-00:00", 0, "1970-01-01T00:00:00.000Z"),
        ("1970-01-01T01:00:00+01:00", 0, "1970-01-01T00:00:00.000Z"),
        ("1969-12-31T19:00:00-05:00", 0, "1970-01-01T00:00:00.000Z"),
        ("1970-01-01T23:59:00+23:59", 0, "1970-01-01T00:00:00.000Z"),
        ("1970-01-01T00:00:00.1Z", 100, "1970-01-01T00:00:00.100Z"),
        ("1970-01-01T00:00:00.01Z", 10, "1970-01-01T00:00:00.010Z"),
        ("1970-01-01T00:00:00.001Z", 1, "1970-01-01T00:00:00.001Z"),
        ("1969-12-31T23:59:59.999Z", -1, "1969-12-31T23:59:59.999Z"),
        ("2000-02-29T00:00:00Z", 951_782_400_000, "2000-02-29T00:00:00.000Z"),
        ("2026-01-31T09:30:00+05:45", 1_769_831_100_000, "2026-01-31T03:45:00.000Z"),
        ("0001-01-01T00:00:00Z", TIMESTAMP_RANGE[0], "0001-01-01T00:00:00.000Z"),
        ("9999-12-31T23:59:59.999Z", TIMESTAMP_RANGE[1], "9999-12-31T23:59:59.999Z"),
        ("0001-01-01T01:00:00+01:00", TIMESTAMP_RANGE[0], "0001-01-01T00:00:00.000Z"),
    ],
)
def test_an_instant_is_its_milliseconds_and_one_text(raw: str, unix_ms: int, expected: str) -> None:
    assert value_of(AT, raw) == unix_ms
    assert canonical(AT, raw) == expected
    assert canonical(AT, expected) == expected


NO_INSTANTS = [
    *("", " ", "now", "0", "2026-01-31", "09:30:00Z", "2026-01-31T09:30:00", "2026-01-31T09:30Z", "2026-01-31T09Z"),
    *(
        "2026-01-31 09:30:00Z",
        "2026-01-31t09:30:00Z",
        "2026-01-31T09:30:00z",
        "2026-01-31_09:30:00Z",
        "20260131T093000Z",
    ),
    *("2026-01-31T09:30:00 Z", "2026-01-31T09:30:00+01", "2026-01-31T09:30:00+0100", "2026-01-31T09:30:00+1:00"),
    *("2026-01-31T09:30:00UTC", "2026-01-31T09:30:00+24:00", "2026-01-31T09:30:00+01:60", "2026-01-31T09:30:00+99:99"),
    *(
        "2026-01-31T09:30:00\u221201:00",
        "2026-01-31T09:30:00+01:00[Europe/Berlin]",
        "2026-01-31T09:30:00Z[u-ca=hebrew]",
    ),
    *(
        "2016-12-31T23:59:60Z",
        "2026-01-31T23:59:61Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T09:60:00Z",
        "2026-01-31T25:00:00Z",
    ),
    *(
        "2026-02-29T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-01-00T00:00:00Z",
    ),
    *("2100-02-29T00:00:00Z", "2026-04-31T00:00:00Z", "2026-W05-6T09:30:00Z", "2026-031T09:30:00Z"),
    *("2026-01-31T09:30:00.Z", "2026-01-31T09:30:00.0000Z", "2026-01-31T09:30:00.1234Z", "2026-01-31T09:30:00,5Z"),
    *("2026-01-31T09:30:00.1 Z", "2026-01-31T09:30:00.-1Z", "2026-01-31T09:30:00.1e1Z", "2026-01-31T9:30:00Z"),
    *(
        "0000-01-01T00:00:00Z",
        "-001-01-01T00:00:00Z",
        "+2026-01-31T09:30:00Z",
        "10000-01-01T00:00:00Z",
        "26-01-31T09:30:00Z",
    ),
    *("0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59.999-00:01", "0001-01-01T00:00:00+23:59"),
    *(" 2026-01-31T09:30:00Z", "2026-01-31T09:30:00Z ", "2026-01-31T09:30:00Z\n", "2026-01-31T09:30:00Z\0"),
    *(
        "\u0662\u0660\u0662\u0666-01-31T09:30:00Z",
        "2026\uff0d01-31T09:30:00Z",
        "2026-01-31T09:30:0\u0660Z",
        "2" * 100_000,
    ),
]


@pytest.mark.parametrize("raw", NO_INSTANTS)
def test_no_other_text_is_an_instant(raw: str) -> None:
    assert code(AT, raw) == "parse.timestamp"


@pytest.mark.parametrize(
    ("raw", "milliseconds", "expected"),
    [
        ("0s", 0, "0s"),
        ("0h0m0s", 0, "0s"),
        ("+0ms", 0, "0s"),
        ("0.0s", 0, "0s"),
        ("500ms", 500, "0.500s"),
        ("10s", 10_000, "10s"),
        ("5m", 300_000, "300s"),
        ("24h", DAY, "86400s"),
        ("1h30m", 90 * 60_000, "5400s"),
        ("30m1h", 90 * 60_000, "5400s"),
        ("1m1m", 120_000, "120s"),
        ("1.5h", 90 * 60_000, "5400s"),
        ("0.001s", 1, "0.001s"),
        ("1000us", 1, "0.001s"),
        ("1000\N{MICRO SIGN}s", 1, "0.001s"),
        ("1000\N{GREEK SMALL LETTER MU}s", 1, "0.001s"),
        ("1000000ns", 1, "0.001s"),
        ("999999ns1ns", 1, "0.001s"),
        ("-1.5s", -1_500, "-1.500s"),
        ("-1h1ms", -HOUR - 1, "-3600.001s"),
        ("+1s", 1_000, "1s"),
        ("007s", 7_000, "7s"),
        ("1.500000000s", 1_500, "1.500s"),
        ("9223372036.854s", DURATION_RANGE[1], "9223372036.854s"),
        ("-9223372036854ms", DURATION_RANGE[0], "-9223372036.854s"),
    ],
)
def test_a_duration_is_its_milliseconds_and_one_text(raw: str, milliseconds: int, expected: str) -> None:
    assert value_of(LASTS, raw) == milliseconds
    assert canonical(LASTS, raw) == expected
    assert canonical(LASTS, expected) == expected


NO_DURATIONS = [
    *("", " ", "0", "1", "s", "ms", "-", "+", "-s", ".", ".s", "1.s", ".5s", "1..5s", "1.5.5s", "1,5s", "1_000s"),
    *("1S", "1H", "1M", "1Ms", "1mS", "1d", "7d", "1w", "1y", "1min", "1sec", "1hour", "PT1H", "P1D", "1:30:00"),
    *("1 s", " 1s", "1s ", "1s\n", "1h 30m", "1h,30m", "1h30", "1h-30m", "1h+30m", "--1s", "+-1s", "-+1s", "1s-"),
    *("-0s", "-0ms", "-0h0m", "-0.0s", "1ns", "1us", "999999ns", "1.0001ms", "0.0005s", "0.1us", "-1ns"),
    *("9223372036855ms", "-9223372036855ms", "9223372036.855s", "2562048h", "99999999999999999999h", "1e3s", "1E3s"),
    *(
        "0x10s",
        "1/2s",
        "\u0661s",
        "\uff11s",
        "\u22121s",
        "infs",
        "nans",
        "Infinity",
        "1s\0",
        "\0",
        "1" * 65 + "s",
        "1s" * 50_000,
    ),
    *("1k\u212a", "1m\u017f", "1\u03bc", "1\u03bcms", "1 \u00b5s", "1h30m0", "1.5h.5m"),
]


@pytest.mark.parametrize("raw", NO_DURATIONS)
def test_no_other_text_is_a_duration(raw: str) -> None:
    assert code(LASTS, raw) == "parse.duration"


@pytest.mark.parametrize("type_", [AT, LASTS])
@pytest.mark.parametrize("raw", [0, 1.5, True, [], ["1s"], {}, {"seconds": 1}])
def test_only_text_is_a_time(type_: TimestampType | DurationType, raw: object) -> None:
    assert code(type_, raw) == "parse.type"
    assert code(type_, None) == "parse.null"
