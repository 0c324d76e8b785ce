"""OpenTelemetry spans: what they say, what they never say, and that a tracer in trouble is none of the call's."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import pytest
from gatekit import OK, STRANGER, TRUSTED, SpyRunner, open_gate, payment

from sandbox.approve import ScriptedApprover
from sandbox.call import Outcome, Permit
from sandbox.errors import ApprovalNeeded, Denied, Fault, SandboxError, ToolError

MARK = "marked-value-4711"


@dataclass
class Recorded:
    """A span as a tracer has it. `within` is the one that was current when it began."""

    name: str
    within: str
    fields: dict[str, object] = field(default_factory=dict)
    ended: bool = False

    def set_attribute(self, key: str, value: object) -> None:
        assert isinstance(value, str | int)
        self.fields[key] = value


@dataclass
class Tracer:
    """Keeps what it gets, and fails where it is told to."""

    spans: list[Recorded] = field(default_factory=list)
    current: list[str] = field(default_factory=list)
    seen: list[BaseException] = field(default_factory=list)

    @contextlib.contextmanager
    def start_as_current_span(
        self, name: str, *, record_exception: bool, set_status_on_exception: bool
    ) -> Iterator[Recorded]:
        assert not record_exception
        assert not set_status_on_exception
        span = Recorded(name, self.current[-1] if self.current else "")
        self.spans.append(span)
        self.current.append(name)
        try:
            yield span
        except BaseException as error:
            self.seen.append(error)
            raise
        finally:
            self.current.pop()
            span.ended = True

    def told(self) -> dict[str, dict[str, object]]:
        return {span.name.removeprefix("sandbox."): span.fields for span in self.spans}


@pytest.fixture
def tracer(monkeypatch: pytest.MonkeyPatch) -> Tracer:
    """As a program that has loaded OpenTelemetry, with a tracer that keeps everything."""
    made = Tracer()
    module = ModuleType("opentelemetry.trace")
    module.get_tracer = lambda name: made if name == "sandbox" else None  # type: ignore[attr-defined]  # the whole of it
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", module)
    return made


def test_the_stages_of_a_call(tmp_path: Path, tracer: Tracer) -> None:
    outcome = Outcome("ok", "ok", "", result={"done": MARK}, stdout=MARK, duration_ms=7)
    with open_gate(tmp_path, runner=SpyRunner(lambda _: outcome)) as gate:
        gate.call(payment(note=MARK))
    assert [(span.name, span.within, span.ended) for span in tracer.spans] == [
        ("sandbox.call", "", True),
        ("sandbox.judge", "sandbox.call", True),
        ("sandbox.prepare", "sandbox.call", True),
        ("sandbox.permit", "sandbox.call", True),
        ("sandbox.execute", "sandbox.call", True),
    ]
    decided = {
        "sandbox.tool": "send_money",
        "sandbox.spec": "payments",
        "sandbox.verdict": "allow",
        "sandbox.rule": "trusted",
        "sandbox.reason_code": "rule.allow",
    }
    ended = {"sandbox.status": "ok", "sandbox.reason_code": "ok", "sandbox.duration_ms": 7}
    told = tracer.told()
    assert told["judge"] == told["permit"] == decided
    assert told["execute"] == ended
    assert told["call"] == {**decided, **ended}
    assert told["prepare"] == {"sandbox.runtime": "spy"}
    assert said_nothing_of(tracer, MARK, TRUSTED[0])


def said_nothing_of(tracer: Tracer, *values: str) -> bool:
    text = json.dumps([[span.name, span.fields] for span in tracer.spans])
    return not any(value in text for value in values) and tracer.seen == []


def test_a_denial_is_told_by_its_rule(tmp_path: Path, tracer: Tracer) -> None:
    with open_gate(tmp_path) as gate, pytest.raises(Denied):
        gate.call(payment(amount="5001.23", note=MARK))
    assert tracer.told().keys() == {"call", "judge"}
    assert (tracer.told()["call"]["sandbox.verdict"], tracer.told()["call"]["sandbox.rule"]) == ("deny", "over-limit")
    assert said_nothing_of(tracer, MARK, "5001.23")


def test_a_call_that_waits_for_a_person(tmp_path: Path, tracer: Tracer) -> None:
    with open_gate(tmp_path) as gate, pytest.raises(ApprovalNeeded):
        gate.call(payment(STRANGER))
    assert tracer.told()["permit"]["sandbox.reason_code"] == "approval.needed"
    assert said_nothing_of(tracer, STRANGER)


@pytest.mark.parametrize(
    "raw", [MARK, {"tool": MARK, "args": {}}, {"tool": "send_money", "args": {MARK: 1}}, payment(recipient=MARK)]
)
def test_what_a_model_emits_is_in_no_span(tmp_path: Path, tracer: Tracer, raw: object) -> None:
    with open_gate(tmp_path) as gate, pytest.raises(Denied):
        gate.call(raw)
    assert str(tracer.told()["call"]["sandbox.reason_code"]).startswith(("parse.", "unknown_tool"))
    assert "sandbox.tool" not in tracer.told()["call"]
    assert said_nothing_of(tracer, MARK)


def test_the_words_of_a_failure_are_in_no_span(tmp_path: Path, tracer: Tracer, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = Outcome("error", "tool.error", f"no account {MARK}", stderr=MARK)
    with open_gate(tmp_path, runner=SpyRunner(lambda _: failed)) as gate, pytest.raises(ToolError):
        gate.call(payment(note=MARK))
    assert tracer.told()["execute"] == {
        "sandbox.status": "error",
        "sandbox.reason_code": "tool.error",
        "sandbox.duration_ms": 0,
    }

    def raising(*_: object) -> None:
        raise ValueError(MARK)

    with open_gate(tmp_path) as gate:
        monkeypatch.setattr(gate, "_prepare", raising)
        with pytest.raises(Fault):
            gate.call(payment())
    assert tracer.told()["prepare"] == {"sandbox.error": "ValueError"}
    assert tracer.told()["call"]["sandbox.error"] == "fault.internal"
    assert said_nothing_of(tracer, MARK)


def test_an_interruption_passes(tmp_path: Path, tracer: Tracer) -> None:
    def interrupted(_: Permit) -> Outcome:
        raise KeyboardInterrupt

    with open_gate(tmp_path, runner=SpyRunner(interrupted)) as gate, pytest.raises(KeyboardInterrupt):
        gate.call(payment())
    assert tracer.told()["execute"] == {"sandbox.error": "KeyboardInterrupt"}
    assert all(span.ended for span in tracer.spans)


@pytest.mark.parametrize("where", ["get_tracer", "start", "enter", "set_attribute", "exit"])
def test_a_tracer_that_fails_changes_nothing_of_a_call(
    tmp_path: Path, tracer: Tracer, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def broken(*_: object, **__: object) -> None:
        message = "the exporter is gone"
        raise RuntimeError(message)

    class Context:
        __enter__ = broken if where == "enter" else lambda _: Recorded("", "")
        __exit__ = broken

    match where:
        case "get_tracer":
            monkeypatch.setattr(sys.modules["opentelemetry.trace"], "get_tracer", broken)
        case "start":
            monkeypatch.setattr(Tracer, "start_as_current_span", broken)
        case "set_attribute":
            monkeypatch.setattr(Recorded, "set_attribute", broken)
        case _:
            monkeypatch.setattr(Tracer, "start_as_current_span", lambda *_, **__: Context())
    with open_gate(tmp_path, approver=ScriptedApprover("ann")) as gate:
        assert gate.call(payment()).outcome == OK
        with pytest.raises(Denied):
            gate.call(payment(amount="5001"))


def test_nothing_of_it_is_loaded_and_nothing_told_where_nobody_listens(tmp_path: Path) -> None:
    with open_gate(tmp_path) as gate:
        gate.call(payment())
        with pytest.raises(SandboxError):
            gate.call(b"{")
    code = "import sys, sandbox.gate; print([name for name in sys.modules if name.startswith('opentelemetry')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
