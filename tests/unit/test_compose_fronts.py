"""Unit: the command line, the decorator and an adapter take a spec below its ceiling as they take one alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from gatekit import OK, PAYMENTS, TRUSTED, HandClock, SpyRunner, spec_file
from test_cli import arguments, document, documents, line, run

from sandbox.adapters.langchain import wrap
from sandbox.call import Outcome
from sandbox.compile import load_policy
from sandbox.decorator import sandboxed
from sandbox.errors import Denied, SpecError, UsageError
from sandbox.gate import Gate

CEILING = """\
sandbox: 1
name: ceiling
state: {seen: {type: int, initial: 0}}
tools:
  send_money:
    args:
      recipient: {type: string, pattern: "[A-Z]{2}[0-9A-Z]{13,32}"}
      amount:    {type: decimal, scale: 2, min: 0.01, max: 1000000}
      note:      {type: text, max_size: 140, optional: true}
    rules:
      - {id: much, deny: args.amount > 300.00}
      - {id: rest, allow: true}
    then: {seen: state.seen + 1}
"""
EXTENDING = PAYMENTS.replace("owner: payments-team", "owner: payments-team\nextends: ceiling.yaml")
NOON = "2026-01-01T12:00:00Z"


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    spec_file(tmp_path, CEILING, "ceiling.yaml")
    return spec_file(tmp_path, EXTENDING)


# --- the command line --------------------------------------------------------------------------------


def test_decide_judges_by_the_ceiling_too_and_says_whose_rule_decided(spec: Path) -> None:
    calls = line(amount="10.00") + line(amount="301.00") + b'{"tool": "balance", "args": {}}\n'
    result = run("decide", spec, "--now", NOON, stdin=calls)
    found = [(each["verdict"], each["spec"], each["rule"], each["reason_code"]) for each in documents(result)]
    assert found == [
        ("allow", "payments", "trusted", "rule.allow"),
        ("deny", "ceiling", "much", "rule.deny"),
        ("deny", "ceiling", "", "ceiling.unknown_tool"),
    ]
    assert result.exit_code == 1


def test_a_spec_alone_is_told_as_ever(tmp_path: Path) -> None:
    (found,) = documents(run("decide", spec_file(tmp_path), "--now", NOON, stdin=line()))
    assert set(found) == {"line", "verdict", "rule", "reason_code", "reason", "call_digest", "engines"}


def test_explain_shows_the_rules_and_the_state_of_both(spec: Path) -> None:
    words = ["explain", spec, "--tool", "send_money", "--args", arguments(amount="400.00"), "--now", NOON]
    found = document(run(*words, "--json"))
    assert [(rule["spec"], rule["id"], rule["value"]) for rule in found["rules"]] == [
        ("payments", "over-limit", False),
        ("payments", "trusted", True),
        ("payments", "human", False),
        ("ceiling", "much", True),
        ("ceiling", "rest", True),
    ]
    assert found["state"] == {"payments/sent_today": "0.00", "ceiling/seen": 0}
    assert [each["value"] for each in found["nearest"]] == ["300.00"]
    text = run(*words).stdout
    assert "  true   deny  ceiling/much: args.amount > 300.00" in text
    assert 'would be allowed: with `amount` = "300.00"' in text


def test_explain_says_that_the_ceiling_does_not_describe_a_tool(spec: Path) -> None:
    result = run("explain", spec, "--tool", "balance", "--args", "{}", "--now", NOON)
    assert result.stdout.splitlines()[0] == (
        "deny: the ceiling `ceiling` does not describe `balance` [ceiling.unknown_tool]"
    )


def test_run_is_refused_by_the_ceiling(spec: Path) -> None:
    result = run("run", spec, "--tool", "send_money", "--args", arguments(amount="301.00"), "--json")
    found = document(result)
    assert (found["verdict"], found["spec"], found["rule"], result.exit_code) == ("deny", "ceiling", "much", 1)


def test_check_finds_what_does_not_fit_the_ceiling_and_what_it_leaves_out(spec: Path) -> None:
    assert "lint: " in run("check", spec).stdout
    assert "the ceiling `ceiling` does not describe `balance`, so that it is always denied" in run("check", spec).stdout
    spec_file(spec.parent, CEILING.replace("max: 1000000", "max: 2000000"), "ceiling.yaml")
    result = run("check", spec, spec.parent / "ceiling.yaml", "--json")
    first, second = document(result)["specs"]
    assert (result.exit_code, first["valid"], second["valid"]) == (2, False, True)
    assert first["problems"][0]["message"].startswith("`amount` is declared otherwise at ")


# --- the decorator and an adapter --------------------------------------------------------------------


def test_a_decorated_function_is_judged_by_the_ceiling(spec: Path) -> None:
    runner = SpyRunner()
    with Gate.open(spec, runner=runner, clock=HandClock()) as gate:

        @sandboxed(gate)
        def send_money(recipient: str, amount: str, note: str = "") -> dict[str, object]: ...

        with pytest.raises(Denied, match="`ceiling`: denied by rule `much`"):
            send_money(TRUSTED[0], "301.00")
        assert send_money(TRUSTED[0], "10.00") == OK.result


def test_a_decorator_takes_several_specs_and_refuses_those_that_do_not_fit(tmp_path: Path, spec: Path) -> None:
    other = spec_file(tmp_path, CEILING.replace("min: 0.01", "min: 1").replace("name: ceiling", "name: o"), "o.yaml")

    def send_money(recipient: str, amount: str, note: str = "") -> dict[str, object]: ...

    sandboxed([spec_file(tmp_path, PAYMENTS, "alone.yaml"), tmp_path / "ceiling.yaml"])(send_money)
    with pytest.raises(SpecError, match="`amount` is declared otherwise"):
        sandboxed([spec, other])(send_money)
    with pytest.raises(UsageError, match="`payments`, `ceiling` has no tool `other`"):
        sandboxed([tmp_path / "alone.yaml", tmp_path / "ceiling.yaml"], tool="other")(send_money)


def test_a_host_function_runs_after_both_have_judged(tmp_path: Path) -> None:
    on_host = EXTENDING.replace("{tool: tools.payments:send_money, timeout: 10s}", "{host: a session of the user}")
    spec_file(tmp_path, CEILING, "ceiling.yaml")
    sent: list[str] = []
    with Gate.open(spec_file(tmp_path, on_host), clock=HandClock()) as gate:

        @sandboxed(gate)
        def send_money(recipient: str, amount: object, note: str = "") -> str:
            sent.append(str(amount))
            return "sent"

        with pytest.raises(Denied):
            send_money(TRUSTED[0], "301.00")
        assert send_money(TRUSTED[0], "10.00") == "sent"
    assert sent == ["10.00"]


def test_an_adapter_offers_the_tools_of_the_given_specs_and_the_ceiling_denies(spec: Path) -> None:
    runner = SpyRunner(lambda _: Outcome("ok", "ok", "", result="sent"))
    with Gate.open(spec, runner=runner, clock=HandClock()) as gate:
        (tool,) = wrap(gate)
        assert json.loads(json.dumps(sorted(tool.args))) == ["amount", "note", "recipient"]
        assert tool.invoke({"recipient": TRUSTED[0], "amount": "10.00"}) == "sent"
        assert "`ceiling`: denied by rule `much`" in tool.invoke({"recipient": TRUSTED[0], "amount": "301.00"})


# --- a server of tools -------------------------------------------------------------------------------

SERVED = "sandbox: 1\nname: NAME\nserver: GRANTS\ntools: {t: {rules: [{id: all, allow: true}]}}\n"


def test_one_spec_says_what_a_server_is_granted(tmp_path: Path) -> None:
    one = spec_file(tmp_path, SERVED.replace("NAME", "one").replace("GRANTS", "{}"), "one.yaml")
    same = spec_file(tmp_path, SERVED.replace("NAME", "same").replace("GRANTS", "{}"), "same.yaml")
    more = spec_file(tmp_path, SERVED.replace("NAME", "more").replace("GRANTS", "{memory: 1GiB}"), "more.yaml")
    load_policy([one, same])
    with pytest.raises(SpecError, match=r"the `server` at .*/one.yaml:3:1 is another one; let one spec say what runs"):
        load_policy([one, more])


def test_what_no_spec_runs_is_served_under_the_spec_that_has_the_server(tmp_path: Path) -> None:
    top = spec_file(tmp_path, SERVED.replace("NAME", "top").replace("GRANTS", "{}"), "top.yaml")
    text = "sandbox: 1\nname: below\nextends: top.yaml\ntools: {t: {rules: [{id: all, allow: true}]}}\n"
    server = SpyRunner()
    with Gate.open(spec_file(tmp_path, text, "below.yaml"), server=server, clock=HandClock()) as gate:
        receipt = gate.call({"tool": "t", "args": {}}).receipt
    assert top.exists()
    assert (receipt.isolation, receipt.contract_digest) == ("session", receipt.contracts["top"])
