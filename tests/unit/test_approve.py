"""Only a clear yes, on time, to exactly this call is an approval; and a person sees every character of it."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest

from sandbox.approve import Approval, ApprovalRequest, Refused, ScriptedApprover, TerminalApprover, ask
from sandbox.call import Call, Decision
from sandbox.ir import Argument, Contract, StringType, TextType, Tool
from sandbox.parse import parse_call

TOOL = Tool("pay", (Argument("to", StringType(None, 0, 200)), Argument("note", TextType(200), optional=True)), ())
LATER = 1_764_000_000_000


def request_for(args: dict[str, object], tool: Tool = TOOL) -> ApprovalRequest:
    call = parse_call({"tool": "pay", "args": args}, Contract("c", (tool,)))
    assert isinstance(call, Call)
    decision = Decision("ask", "rule.ask", "over the limit", rule="human", call=call, approvers=2, expires_ms=1)
    return ApprovalRequest(call, decision, tool, LATER, needed=2)


REQUEST = request_for({"to": "bob"})
YES = Approval(REQUEST.call.digest, "alice", LATER)


class Answering:
    def __init__(self, answer: object) -> None:
        self.answer = answer

    def review(self, _request: ApprovalRequest) -> Approval | Refused:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer  # type: ignore[return-value]  # that is the test


def test_a_clear_yes_is_an_approval() -> None:
    assert ask(Answering(YES), REQUEST, lambda: LATER - 1) == YES


@pytest.mark.parametrize(
    ("answer", "now", "reason"),
    [
        (Refused("bob", "no"), 0, "no"),
        (replace(YES, call_digest="0" * 64), 0, "the approval is for another call"),
        (YES, LATER, "the approval came too late"),
        (replace(YES, expires_at_ms=5), 5, "the approval came too late"),
        (replace(YES, expires_at_ms=LATER * 2), LATER, "the approval came too late"),
        (replace(YES, approver=""), 0, "the approver gave no answer with a name"),
        (None, 0, "the approver gave no answer with a name"),
        (True, 0, "the approver gave no answer with a name"),
        ("approve", 0, "the approver gave no answer with a name"),
        (ValueError("approve"), 0, "the approver failed: `ValueError`"),
        (TimeoutError(), 0, "the approver failed: `TimeoutError`"),
    ],
)
def test_anything_else_is_a_refusal(answer: object, now: int, reason: str) -> None:
    refused = ask(Answering(answer), REQUEST, lambda: now)
    assert isinstance(refused, Refused)
    assert refused.reason == reason


def test_an_interrupt_is_no_answer() -> None:
    with pytest.raises(KeyboardInterrupt):
        ask(Answering(KeyboardInterrupt()), REQUEST, lambda: 0)


def test_a_script_says_yes_to_all_or_to_what_it_names() -> None:
    digest = REQUEST.call.digest
    assert ScriptedApprover("alice").review(REQUEST) == YES
    assert ScriptedApprover("alice", {digest: True}).review(REQUEST) == YES
    for answers in ({}, {digest: False}, {digest: 1}, {digest[:8]: True}):
        assert ScriptedApprover("alice", answers).review(REQUEST) == Refused("alice", "refused by script")


# --- the terminal

PREFIX = REQUEST.call.digest[:8]


def at_terminal(answers: str, request: ApprovalRequest = REQUEST) -> tuple[Approval | Refused, str]:
    sink = io.StringIO()
    return TerminalApprover(io.StringIO(answers), sink, "alice").review(request), sink.getvalue()


def test_the_terminal_shows_the_call_and_waits_for_its_digest() -> None:
    answer, shown = at_terminal(f"approve {PREFIX}\n")
    assert answer == YES
    assert shown == (
        "tool      pay\n"
        'call      {"args":{"to":"bob"},"tool":"pay"}\n'
        "rule      human: over the limit\n"
        f"digest    {REQUEST.call.digest}\n"
        "approvals 2 needed, before 2025-11-24 16:00:00 UTC\n"
        f"type `approve {PREFIX}` to let it run, anything else to refuse: "
    )


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "\n",
        "y\n",
        "yes\n",
        "approve\n",
        "approve 00000000\n",
        f"approve {PREFIX[:7]}\n",
        f"Approve {PREFIX}\n",
        f"approve  {PREFIX}\n",
        f"\napprove {PREFIX}\n",
        f"approve {PREFIX} now\n",
        "show\n",
        f"show\napprove {PREFIX}\n",
        " " * 300 + f"approve {PREFIX}\n",
        f"approve {PREFIX.upper()}x\n",
    ],
)
def test_anything_else_at_the_terminal_is_a_refusal(typed: str) -> None:
    answer, _ = at_terminal(typed)
    assert answer == Refused("alice", "not approved at the terminal")


def test_a_closed_or_broken_terminal_is_a_refusal() -> None:
    closed = io.StringIO()
    closed.close()
    broken = io.TextIOWrapper(io.BytesIO(b"\xff\n"), encoding="utf-8")
    for source in (closed, broken):
        answer = TerminalApprover(source, io.StringIO(), "alice").review(REQUEST)
        assert answer == Refused("alice", "not approved at the terminal")


def test_every_character_of_the_call_shows() -> None:
    hostile = "\x1b[2Jbob\u202ecod\u200b.exe\u2066\u00a0\u3164e\u0301\n\u0430lice"
    request = request_for({"to": hostile, "note": hostile})
    _, shown = at_terminal("", request)
    lines = shown.splitlines()
    assert len(lines) == 7
    assert all(line.isprintable() for line in lines)
    for invisible in "\x1b\u202e\u200b\u2066\u00a0\u3164\u0301":
        assert invisible not in shown
    _, _, written = lines[1].partition("call      ")
    assert json.loads(written) == json.loads(request.call.canonical)
    assert lines[2].startswith("in ASCII  ")
    assert lines[2].isascii()
    assert "\\u0430lice" in lines[2]
    assert json.loads(lines[2].removeprefix("in ASCII  ")) == json.loads(request.call.canonical)


def test_a_secret_shows_only_on_request() -> None:
    tool = replace(TOOL, arguments=(replace(TOOL.arguments[0], secret=True), TOOL.arguments[1]))
    request = request_for({"to": "hunter2", "note": "hello"}, tool)
    prefix = request.call.digest[:8]
    answer, shown = at_terminal(f"approve {prefix}\n", request)
    assert isinstance(answer, Approval)
    assert "hunter2" not in shown
    assert '{"args":{"note":"hello","to":{"secret":"' in shown
    answer, shown = at_terminal(f"show\napprove {prefix}\n", request)
    assert isinstance(answer, Approval)
    assert shown.count("hunter2") == 1
    answer, _ = at_terminal("show\nshow\n", request)
    assert isinstance(answer, Refused)


def test_the_terminals_approver_has_the_users_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def name() -> str:
        answer = TerminalApprover(io.StringIO(), io.StringIO()).review(REQUEST)
        assert isinstance(answer, Refused)
        return answer.approver

    def unknown(uid: int) -> object:
        raise KeyError(uid)

    assert name()
    monkeypatch.setattr("pwd.getpwuid", unknown)
    assert name().startswith("uid ")
