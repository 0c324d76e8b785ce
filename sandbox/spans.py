"""OpenTelemetry spans of calls, for programs that use OpenTelemetry themselves; nothing of it is imported here.

Where the program has loaded `opentelemetry.trace`, its tracer gets the spans, and what becomes of them is that
program's to configure: `pip install sandbox[otel]` brings the API alone. What a span can say is the parameters of
`note`: names out of specs, codes, numbers. There is no place for an argument, an output, or the words of an error.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias, cast

from sandbox.errors import Refusal, SandboxError
from sandbox.events import emit

if TYPE_CHECKING:
    from sandbox.call import Decision, Outcome, Result

MODULE: Final = "opentelemetry.trace"
TRACER: Final = "sandbox"

Name: TypeAlias = Literal["sandbox.call", "sandbox.judge", "sandbox.prepare", "sandbox.permit", "sandbox.execute"]


class _Span(Protocol):
    """What is used of a span of OpenTelemetry's."""

    def set_attribute(self, key: str, value: str | int) -> None:
        """Note one thing."""
        ...


class _Tracer(Protocol):
    """What is used of a tracer."""

    def start_as_current_span(
        self, name: str, *, record_exception: bool, set_status_on_exception: bool
    ) -> AbstractContextManager[_Span]:
        """A span that ends with the context."""
        ...


class Note:
    """What is known of a stage, told while it lasts. Whatever fails in a tracer is no failure of the call."""

    def __init__(self, span: _Span | None) -> None:
        self._span = span

    def note(
        self,
        *,
        tool: str = "",
        spec: str = "",
        verdict: str = "",
        rule: str = "",
        reason_code: str = "",
        status: str = "",
        runtime: str = "",
        duration_ms: int | None = None,
    ) -> None:
        """Adds what is given to the span, as `sandbox.tool` and so on. `tool` is one that a spec declares."""
        words = {"tool": tool, "spec": spec, "verdict": verdict, "rule": rule}
        codes = {"reason_code": reason_code, "status": status, "runtime": runtime}
        numbers = {} if duration_ms is None else {"duration_ms": duration_ms}
        self._set({**{name: value for name, value in (words | codes).items() if value}, **numbers})

    def failed(self, error: BaseException) -> None:
        """Adds the code of an error, or its class where it is none of ours; never its words."""
        if isinstance(error, Refusal):
            tell_decision(self, error.decision)
            return
        code = error.reason_code if isinstance(error, SandboxError) else type(error).__name__
        self._set({"error": code})

    def _set(self, fields: Mapping[str, str | int]) -> None:
        if self._span is None:
            return
        try:
            for name, value in fields.items():
                self._span.set_attribute(f"sandbox.{name}", value)
        except Exception as error:  # noqa: BLE001  # telemetry never decides what becomes of a call
            emit("spans.failed", reason=type(error).__name__)


@contextmanager
def span(name: Name) -> Iterator[Note]:
    """A stage of a call as a span, where somebody listens; an exception that leaves it is told by its code."""
    started = _start(name)
    note = Note(None if started is None else started[1])
    try:
        yield note
    except BaseException as error:
        note.failed(error)
        raise
    finally:
        if started is not None:
            _end(started[0])


def tell_decision(note: Note, decision: Decision) -> None:
    """What a decision says, but for its words, which may be an author's about a value."""
    tool = "" if decision.call is None else decision.call.tool
    spec, rule, code = decision.spec, decision.rule, decision.reason_code
    note.note(tool=tool, spec=spec, verdict=decision.verdict, rule=rule or "", reason_code=code)


def tell_outcome(note: Note, outcome: Outcome) -> None:
    """How an execution ended."""
    note.note(status=outcome.status, reason_code=outcome.reason_code, duration_ms=outcome.duration_ms)


def tell_result(note: Note, result: Result) -> None:
    """All that a call came to."""
    tell_decision(note, result.decision)
    tell_outcome(note, result.outcome)


def _start(name: Name) -> tuple[AbstractContextManager[_Span], _Span] | None:
    module = sys.modules.get(MODULE)
    if module is None:
        return None
    try:
        tracer = cast("_Tracer", module.get_tracer(TRACER))
        context = tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False)
        return context, context.__enter__()  # its failures are not those of what is inside
    except Exception as error:  # noqa: BLE001  # as above
        emit("spans.failed", reason=type(error).__name__)
        return None


def _end(context: AbstractContextManager[_Span]) -> None:
    """Without the exception, whose words no exporter is to have."""
    try:
        context.__exit__(None, None, None)
    except Exception as error:  # noqa: BLE001  # as above
        emit("spans.failed", reason=type(error).__name__)
