"""B4: what was checked is not what runs. Bytes are parsed once; the permit is bound to the canonical value."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from attacked_gate import RECIPIENT, SpyRunner, attacked, canonical, outcome_of

from sandbox.approve import Approval, ApprovalRequest
from sandbox.errors import Fault

PAY = f'{{"tool": "pay", "args": {{"recipient": "{RECIPIENT}", "amount": %s}}}}'


# --- one text, two readers ---------------------------------------------------------------------------


def first_key_wins(raw: str) -> dict[str, object]:
    """A reader that keeps the first of two equal keys, as some do; Python's keeps the last."""

    def keep_first(pairs: list[tuple[str, object]]) -> dict[str, object]:
        return dict(reversed(pairs))

    return json.loads(raw, object_pairs_hook=keep_first)


@pytest.mark.parametrize(
    "raw",
    [
        '{"tool": "read", "args": {"path": "/etc/shadow", "path": "/data/x"}}',
        '{"tool": "read", "args": {"path": "/etc/shadow", "p\\u0061th": "/data/x"}}',
        '{"tool": "read", "args": {"path": "/etc/shadow"}, "args": {"path": "/data/x"}}',
        '{"tool": "pay", "tool": "read", "args": {"path": "/data/x"}}',
    ],
)
def test_duplicate_keys_are_read_in_no_way(raw: str, tmp_path: Path) -> None:
    assert json.loads(raw) != first_key_wins(raw)  # checker and tool may disagree about what was asked
    with attacked(tmp_path) as gate:
        assert gate.decide(raw).reason_code == "parse.duplicate_key"


def naive_read(raw: bytes) -> dict[str, object]:
    """What most agents do with a model's output."""
    return json.loads(raw)


@pytest.mark.parametrize(
    ("raw", "reason_code"),
    [
        (b'\xef\xbb\xbf{"tool": "read", "args": {"path": "/data/x"}}', "parse.json"),
        ('{"tool": "read", "args": {"path": "/data/x"}}'.encode("utf-16"), "parse.utf8"),
        ('{"tool": "read", "args": {"path": "/data/x"}}'.encode("utf-32-le"), "parse.json"),
        (b'{"tool": "pay", "args": {"recipient": "GB29600161331926819", "amount": NaN}}', "parse.number"),
        (b'{"tool": "pay", "args": {"recipient": "GB29600161331926819", "amount": -Infinity}}', "parse.number"),
    ],
)
def test_what_is_no_json_is_not_read_as_json(raw: bytes, reason_code: str, tmp_path: Path) -> None:
    assert naive_read(raw)["tool"] in {"read", "pay"}
    with attacked(tmp_path) as gate:
        assert gate.decide(raw).reason_code == reason_code


def naive_first_object(raw: str) -> dict[str, object]:
    """Takes the first JSON object it finds and ignores the rest."""
    return json.JSONDecoder().raw_decode(raw)[0]


@pytest.mark.parametrize("rest", ['{"tool": "pay"}', "; rm -rf /", "\x00", "\u00a0", "\u2028", ","])
def test_text_after_the_call_refuses_it(rest: str, tmp_path: Path) -> None:
    raw = '{"tool": "read", "args": {"path": "/data/x"}}' + rest
    assert naive_first_object(raw)["tool"] == "read"
    with attacked(tmp_path) as gate:
        assert gate.decide(raw).reason_code == "parse.json"


# --- names that look alike ---------------------------------------------------------------------------


def naive_tool_name(name: str) -> str:
    """A tolerant look-up: compatibility forms, case and outer spaces do not matter."""
    return unicodedata.normalize("NFKC", name).strip().lower()


@pytest.mark.parametrize("name", ["\uff52ead", "READ", "read ", "\u1d63ead", "\u24e1ead", "\uff32\uff25\uff21\uff24"])
def test_a_tool_name_that_only_looks_right_is_unknown(name: str, tmp_path: Path) -> None:
    assert naive_tool_name(name) == "read"
    with attacked(tmp_path) as gate:
        assert gate.decide({"tool": name, "args": {"path": "/data/x"}}).reason_code == "unknown_tool"


@pytest.mark.parametrize("key", ["p\u0430th", "path\u200b", "Path", " path", "path\u0000"])
def test_an_argument_name_that_only_looks_right_is_unknown(key: str, tmp_path: Path) -> None:
    naive = {"path": "/data/default", key: "/etc/shadow"}  # an unknown key is kept, and the check reads `path`
    assert naive["path"].startswith("/data/")
    assert "/etc/shadow" in naive.values()
    with attacked(tmp_path) as gate:
        assert gate.decide({"tool": "read", "args": naive}).reason_code == "parse.unknown_argument"


# --- patterns ----------------------------------------------------------------------------------------


def naive_match(text: str) -> bool:
    """Anchored at the start only."""
    return re.match(r"[A-Z]{2}\d{14,32}", text) is not None


def naive_dollar(text: str) -> bool:
    """Python's `$` also matches before a newline at the end."""
    return re.match(r"^[A-Z]{2}[0-9]{14,32}$", text) is not None


def naive_digits(text: str) -> bool:
    r"""Python's `\d` is every digit of Unicode."""
    return re.fullmatch(r"[A-Z]{2}\d{14,32}", text) is not None


@pytest.mark.parametrize(
    ("recipient", "fooled"),
    [
        (RECIPIENT + "; drop table", naive_match),
        (RECIPIENT + "/../XX", naive_match),
        (RECIPIENT + "\n", naive_dollar),
        ("GB" + "\uff11" * 16, naive_digits),
        ("GB" + "\u0661" * 16, naive_digits),
    ],
)
def test_a_pattern_is_a_full_match_over_ascii(recipient: str, fooled: Callable[[str], bool], tmp_path: Path) -> None:
    assert fooled(recipient)
    with attacked(tmp_path) as gate:
        decision = gate.decide({"tool": "pay", "args": {"recipient": recipient, "amount": "1"}})
    assert decision.reason_code == "parse.pattern"


# --- values that change between the check and the tool -----------------------------------------------


def test_an_integer_beyond_a_double_is_judged_exactly(tmp_path: Path) -> None:
    raw = '{"tool": "count", "args": {"n": 9007199254740993}}'
    assert float("9007199254740993") <= 9007199254740992  # the check's float; the tool would get one more
    with attacked(tmp_path) as gate:
        assert gate.decide(raw).reason_code == "default_deny"


@pytest.mark.parametrize("text", ["-0", "-0.0", "1.0", "1e3", "1E0", "true", '"1"', "1.5", "0.9999999999999999999"])
def test_a_number_with_two_readings_is_no_int(text: str, tmp_path: Path) -> None:
    value = json.loads(text)
    assert int(value) in {0, 1, 1000}  # a lenient reader takes it for an int
    with attacked(tmp_path) as gate:
        assert gate.decide(f'{{"tool": "count", "args": {{"n": {text}}}}}').reason_code == "parse.type"


@pytest.mark.parametrize("value", [1, 0, "true", "false", "off", None, []])
def test_nothing_but_true_and_false_is_a_bool(value: object, tmp_path: Path) -> None:
    assert bool(value) in {True, False}  # truthiness: `"false"` is true
    with attacked(tmp_path) as gate:
        decision = gate.decide(json.dumps({"tool": "switch", "args": {"on": value, "mode": "safe"}}))
    assert decision.reason_code in {"parse.type", "parse.null"}


def test_a_lone_surrogate_is_refused_before_it_can_become_another_character(tmp_path: Path) -> None:
    raw = '{"tool": "read", "args": {"path": "/data/\\ud83d"}}'
    path = json.loads(raw)["args"]["path"]
    assert path.encode("utf-8", "replace") == b"/data/?"  # what is written is not what was judged
    with attacked(tmp_path) as gate:
        assert gate.decide(raw).reason_code == "parse.unicode"


class NaiveGate:
    """Checks the caller's own dict, asks a person, and hands the same dict on."""

    def __init__(self, ask: Callable[[dict[str, dict[str, object]]], None]) -> None:
        self.ask = ask
        self.ran: list[object] = []

    def call(self, message: dict[str, dict[str, object]]) -> None:
        if float(str(message["args"]["amount"])) <= 5000:
            self.ask(message)
            self.ran.append(message["args"]["amount"])


def test_a_dict_that_changes_while_a_person_thinks_does_not_change_what_runs(tmp_path: Path) -> None:
    def raise_the_amount(message: dict[str, dict[str, object]]) -> None:
        message["args"]["amount"] = "999999"

    def fresh() -> dict[str, dict[str, object]]:
        return {"tool": "pay", "args": {"recipient": RECIPIENT, "amount": "2000"}}  # type: ignore[dict-item]  # a raw call

    naive = NaiveGate(raise_the_amount)
    naive.call(fresh())
    assert naive.ran == ["999999"]

    message, runner = fresh(), SpyRunner()

    class Thinking:
        def review(self, request: ApprovalRequest) -> Approval:
            raise_the_amount(message)
            return Approval(request.call.digest, "ann", request.expires_at_ms)

    with attacked(tmp_path, runner=runner, approver=Thinking()) as gate:
        gate.call(message)
    assert canonical(runner) == [f'{{"args":{{"amount":"2000.00","recipient":"{RECIPIENT}"}},"tool":"pay"}}']


def test_an_approval_of_another_call_approves_nothing(tmp_path: Path) -> None:
    naive_approved = {"ann": True}  # who approved, but not what
    assert naive_approved["ann"]

    class Confused:
        def review(self, request: ApprovalRequest) -> Approval:
            return Approval("0" * 64, "ann", request.expires_at_ms)

    runner = SpyRunner()
    with attacked(tmp_path, runner=runner, approver=Confused()) as gate:
        assert outcome_of(gate, PAY % 2000) == "approval.refused"
    assert runner.calls == []


def test_an_approval_serves_once(tmp_path: Path) -> None:
    remembered: set[str] = set()  # a naive gate remembers what was approved, and by then the cap is spent

    class Once:
        def review(self, request: ApprovalRequest) -> Approval:
            remembered.add(request.call.digest)
            return Approval(request.call.digest, "ann", request.expires_at_ms)

    runner = SpyRunner()
    with attacked(tmp_path, runner=runner, approver=Once()) as gate:
        codes = [outcome_of(gate, PAY % 2000) for _ in range(3)]
        assert gate.decide(PAY % 2000).call.digest in remembered
    assert codes == ["ok", "ok", "rule.deny"]
    assert len({permit.nonce for permit in runner.permits}) == 2


def test_a_permit_serves_once(tmp_path: Path) -> None:
    runner = SpyRunner()
    with attacked(tmp_path, runner=runner) as gate:
        gate.call(PAY % 10)
        permit = runner.permits[0]
        with pytest.raises(Fault) as caught:
            gate._passage.consume(permit)
    assert caught.value.reason_code == "permit.used"
