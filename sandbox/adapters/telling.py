"""What a model is told of its call, the same words in every framework.

A denial names the rule and gives its `reason`, or where the author wrote none the rule itself; and the nearest value
that would be allowed, for what is counted or chosen from a list the model knows already. A string of the rules is
never told: it may be somebody's account.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from sandbox.adapters.ticket import Ticket
from sandbox.call import Decision, Outcome
from sandbox.errors import ToolError
from sandbox.ir import BoolType, DecimalType, DurationType, EnumType, IntType, Json, TextType, TimestampType, Tool
from sandbox.nearest import Suggestion
from sandbox.seal import holds_secret

MAX_SHOWN_STDERR: Final = 2_000
"""Characters of a failed tool's stderr that the model is shown: the end of a traceback says most."""

Status: TypeAlias = Literal["ok", "denied", "waiting", "failed"]

_TOLD: Final = (BoolType, IntType, DecimalType, EnumType, TextType, TimestampType, DurationType)


@dataclass(frozen=True, slots=True)
class Answer:
    """How a call ended and the text for the model; `result` is the tool's JSON, `ticket` is there while it waits."""

    status: Status
    text: str
    result: Json = None
    ticket: Ticket | None = None

    @property
    def is_error(self) -> bool:
        """Whether the call did not do what was asked."""
        return self.status != "ok"


def done(outcome: Outcome) -> Answer:
    """A result as text: its value, with what the tool printed if it printed anything."""
    if outcome.stdout or outcome.stderr:
        whole = {"result": outcome.result, "stdout": outcome.stdout, "stderr": outcome.stderr}
        return Answer("ok", json.dumps(whole, ensure_ascii=False), outcome.result)
    text = outcome.result if isinstance(outcome.result, str) else json.dumps(outcome.result, ensure_ascii=False)
    return Answer("ok", text, outcome.result)


def refused(decision: Decision, hints: Sequence[Suggestion], tool: Tool) -> Answer:
    """A denial, and what would be allowed instead."""
    told = [_hint(each) for each in hints if _may_be_told(each, tool)]
    instead = f" Allowed would be: {' or '.join(told)}." if told else ""
    text = f"denied ({decision.reason_code}): {decision.reason}. It did not run; the same call will be denied again."
    return Answer("denied", text + instead)


def waiting(decision: Decision, ticket: Ticket | None) -> Answer:
    """A call that a person has to see first."""
    text = f"not run: it waits for a person ({decision.reason}). Do not repeat it; tell the user."
    return Answer("waiting", text, ticket=ticket)


def failed(error: ToolError) -> Answer:
    """A tool that ran and did not end `ok`."""
    stderr = error.outcome.stderr[-MAX_SHOWN_STDERR:]
    return Answer("failed", f"{error}\n{stderr}" if stderr else str(error))


def _may_be_told(hint: Suggestion, tool: Tool) -> bool:
    argument = next((each for each in tool.arguments if each.name == hint.argument), None)
    if argument is None or holds_secret(argument):
        return False
    return not hint.present or isinstance(argument.type, _TOLD)


def _hint(hint: Suggestion) -> str:
    if not hint.present:
        return f"leaving out `{hint.argument}`"
    return f"`{hint.argument}` {json.dumps(hint.value, ensure_ascii=False)}"
