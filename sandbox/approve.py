"""Humans: who is asked, what they are shown, and what counts as their yes.

An approval is a fact about one call's digest. It opens nothing by itself: the call is decided again, with its
reservation, after it. Whatever is not a clear yes, on time, to exactly this call, is a refusal.
"""

from __future__ import annotations

import hashlib
import json
import os
import pwd
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final, Protocol, TextIO

from sandbox.call import Call, Decision, Origins
from sandbox.canonical import printable
from sandbox.errors import UsageError
from sandbox.ir import Tool

DIGEST_PREFIX: Final = 8
"""Hex digits of the call's digest that a person types: nobody approves by habit, or what was typed ahead."""
MAX_ANSWER: Final = 256
"""Characters of an answer that are read."""


MAX_REQUEST_ID: Final = 256
"""Characters of the id of a request that was answered elsewhere."""


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """A call that waits, why, until when (Unix milliseconds), and how many different people are needed.

    Made by `request_for`: in `call`, and in the decision's, secret values are hidden. `reveal` gives them to whoever
    needs them for an answer; `whole` is what it knows of them, and is no part of what is shown or compared.
    """

    call: Call
    decision: Decision
    tool: Tool
    expires_at_ms: int
    needed: int
    whole: Call | None = field(default=None, repr=False, compare=False)

    @property
    def hides(self) -> bool:
        """Whether the call has values that are not shown unless they are asked for."""
        return self.call.masked is not None

    def reveal(self) -> str:
        """The exact canonical text that would run, with every secret value in it."""
        return (self.whole or self.call).canonical


def request_for(call: Call, decision: Decision, tool: Tool, expires_at_ms: int) -> ApprovalRequest:
    """What an approver is asked about a call."""
    shown = call.hidden()
    return ApprovalRequest(shown, replace(decision, call=shown), tool, expires_at_ms, decision.approvers, call)


@dataclass(frozen=True, slots=True)
class Approval:
    """`approver` says yes to the call with this digest, until `expires_at_ms`."""

    call_digest: str
    approver: str
    expires_at_ms: int


@dataclass(frozen=True, slots=True)
class Given:
    """What people said elsewhere to the waiting request with this id: approvals good for one run of one call.

    `request` is whatever told the request from every other, at most 256 characters; a second call that is given
    the same id does not run. `origins` are the labels that they were shown; where others are known by now, they have
    approved another thing. `principal` is whose call they were shown: where the spec has the fact `session.principal`,
    it counts for that one's call alone. `basis` is `Gate.basis` of the decision that they were shown: under other
    specs, and where another rule asks, they have approved nothing.
    """

    request: str
    approvals: tuple[Approval, ...]
    origins: Origins = field(default_factory=dict)
    principal: str = ""
    basis: str = ""

    @property
    def nonce(self) -> str:
        """The nonce of the one permit that this request can lead to."""
        return hashlib.sha256(f"approval request\0{self.request}".encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Refused:
    """`approver` says no, or did not say yes."""

    approver: str
    reason: str


class Approver(Protocol):
    """One person, or what stands for one. It may take its time; an exception counts as a refusal."""

    def review(self, request: ApprovalRequest) -> Approval | Refused:
        """The answer to exactly this request."""
        ...


def ask(approver: Approver, request: ApprovalRequest, clock: Callable[[], int]) -> Approval | Refused:
    """One approver's answer, held against the request; `clock` returns Unix milliseconds. Never raises."""
    try:
        answer = approver.review(request)
    except Exception as error:  # noqa: BLE001  # an approver that fails has not said yes
        return Refused(type(approver).__name__, f"the approver failed: `{type(error).__name__}`")
    match answer:
        case Refused(approver=str(), reason=str()):
            return answer
        case Approval(call_digest=str() as digest, approver=str() as name, expires_at_ms=int() as expires) if name:
            if digest != request.call.digest:
                return Refused(name, "the approval is for another call")
            if min(expires, request.expires_at_ms) <= clock():
                return Refused(name, "the approval came too late")
            return answer
        case _:
            return Refused(type(approver).__name__, "the approver gave no answer with a name")


def check_given(given: Given) -> None:
    """UsageError unless it names its request and each approval its approver, every one another."""
    names = [each.approver for each in given.approvals]
    if not 0 < len(given.request) <= MAX_REQUEST_ID:
        message = f"what was approved elsewhere names its request, in at most {MAX_REQUEST_ID} characters"
        raise UsageError(message)
    if not all(names) or len(set(names)) != len(names):
        message = "what was approved elsewhere names each approver, and each once"
        raise UsageError(message)


class ScriptedApprover:
    """Answers without a person, for tests and for `--approve-as`: yes to all, or what `answers` says by digest."""

    def __init__(self, name: str, answers: Mapping[str, bool] | None = None) -> None:
        self._name = name
        self._answers = answers

    def review(self, request: ApprovalRequest) -> Approval | Refused:
        """Yes, unless there are answers and none of them is a yes to this digest."""
        digest = request.call.digest
        if self._answers is not None and self._answers.get(digest) is not True:
            return Refused(self._name, "refused by script")
        return Approval(digest, self._name, request.expires_at_ms)


class TerminalApprover:
    """Shows the exact canonical value on a terminal and waits for a typed yes; all else is a no."""

    def __init__(self, source: TextIO, sink: TextIO, name: str | None = None, *, reveal: bool = False) -> None:
        """Reads answers from `source`, writes to `sink`; `name` is by default that of the user who runs this.

        Secret values are shown only to who types `show`, or from the first with `reveal`.
        """
        self._source = source
        self._sink = sink
        self._name = name or _user_name()
        self._reveal = reveal

    def review(self, request: ApprovalRequest) -> Approval | Refused:
        """An approval only for the word `approve` and the digest's first digits, typed after the call was shown."""
        prefix = request.call.digest[:DIGEST_PREFIX]
        self._say(*_description(request, reveal=self._reveal))
        prompt = f"type `approve {prefix}` to let it run, anything else to refuse: "
        answer = self._ask(prompt)
        if answer == "show" and request.hides:
            self._say(*_description(request, reveal=True))
            answer = self._ask(prompt)
        if answer == f"approve {prefix}":
            return Approval(request.call.digest, self._name, request.expires_at_ms)
        return Refused(self._name, "not approved at the terminal")

    def _say(self, *lines: str) -> None:
        self._sink.write("".join(f"{line}\n" for line in lines))

    def _ask(self, prompt: str) -> str:
        self._sink.write(prompt)
        self._sink.flush()
        try:
            return self._source.readline(MAX_ANSWER).strip()
        except (OSError, ValueError):  # a closed or undecodable stream says nothing
            return ""


def _description(request: ApprovalRequest, *, reveal: bool) -> list[str]:
    """What is asked, on lines in which every character shows as itself or as its JSON escape."""
    decision, call = request.decision, request.call
    shown = request.reveal() if reveal else call.shown
    lines = [
        f"tool      {printable(call.tool)}",
        f"call      {printable(shown)}",
        f"rule      {printable(decision.rule)}: {printable(decision.reason)}",
        f"digest    {call.digest}",
        f"approvals {request.needed} needed, before {_time(request.expires_at_ms)}",
    ]
    if call.origins:
        told = (f"{name} from {', '.join(labels)}" for name, labels in call.told_origins().items())
        lines.insert(2, f"origins   {printable('; '.join(told))}")
    if not shown.isascii():
        lines.insert(2, f"in ASCII  {json.dumps(json.loads(shown), separators=(',', ':'))}")
    if request.hides and not reveal:
        lines.append("secret values are hidden; type `show` to see them")
    return lines


def _time(moment_ms: int) -> str:
    return f"{datetime.fromtimestamp(moment_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _user_name() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"
