"""A call that waits for people while its run is paused, stored, and resumed elsewhere; and what they answered.

A ticket is plain JSON. Whoever shows it to people hands back an answer; an approval counts for the call of exactly
this digest, until the ticket ends, and for one run.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Final

from sandbox.approve import Approval, Given
from sandbox.call import Decision
from sandbox.errors import UsageError
from sandbox.ir import Json

_FIELDS: Final = (
    "request",
    "tool",
    "call",
    "digest",
    "rule",
    "reason",
    "needed",
    "expires_at_ms",
    "origins",
    "principal",
    "basis",
)


@dataclass(frozen=True, slots=True)
class Ticket:
    """What people are shown: `call` is the canonical JSON of the very call that would run, its secret values masked.

    `request` tells this question from every other, `needed` is how many different people have to agree, until
    `expires_at_ms` (Unix milliseconds). `origins` are the labels of each argument of which a rule asks any.
    `principal` is whose call it is, '' where the host does not say. `basis` stands for the specs and for the rules that
    ask: under others an answer counts for nothing.
    """

    request: str
    tool: str
    call: str
    digest: str
    rule: str
    reason: str
    needed: int
    expires_at_ms: int
    origins: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    principal: str = ""
    basis: str = ""

    def to_json(self) -> dict[str, Json]:
        """The ticket as JSON, for whatever stores the paused run."""
        return {**asdict(self), "origins": {name: list(labels) for name, labels in self.origins.items()}}

    def answer(self, *, approved_by: Sequence[str] = (), refused_by: str = "") -> dict[str, Json]:
        """What to resume the run with."""
        return {**self.to_json(), "approved_by": list(approved_by), "refused_by": refused_by}


@dataclass(frozen=True, slots=True)
class Answered:
    """A ticket with its answer; a refusal by anybody outweighs every approval."""

    ticket: Ticket
    approved_by: tuple[str, ...]
    refused_by: str

    def given(self) -> Given:
        """The approvals, for `Gate.call`."""
        ticket = self.ticket
        approvals = tuple(Approval(ticket.digest, name, ticket.expires_at_ms) for name in self.approved_by)
        origins = {name: frozenset(labels) for name, labels in ticket.origins.items()}
        return Given(ticket.request, approvals, origins, ticket.principal, ticket.basis)


def new_ticket(decision: Decision, now_ms: int, *, basis: str, principal: str = "") -> Ticket:
    """A ticket for a call that `Gate.call` said waits for a person; `basis` is `Gate.basis` of the decision."""
    if decision.call is None:
        message = "what could not be read as a call waits for nobody"
        raise UsageError(message)
    return Ticket(
        request=secrets.token_hex(16),
        tool=decision.call.tool,
        call=decision.call.shown,
        digest=decision.call.digest,
        rule=decision.rule,
        reason=decision.reason,
        needed=decision.approvers,
        expires_at_ms=now_ms + decision.expires_ms,
        origins=decision.call.told_origins(),
        principal=principal,
        basis=basis,
    )


def read_answer(value: object) -> Answered:
    """The inverse of `Ticket.answer`; UsageError for anything else, so that nothing odd counts as a yes."""
    if not isinstance(value, Mapping):
        message = "a paused call is resumed with `Ticket.answer(...)`"
        raise UsageError(message)
    ticket = read_ticket({key: value.get(key) for key in _FIELDS})
    approved, refused = value.get("approved_by"), value.get("refused_by")
    if not (isinstance(approved, list) and all(isinstance(name, str) and name for name in approved)):
        message = "`approved_by` lists the names of the people who approved"
        raise UsageError(message)
    if not isinstance(refused, str) or bool(approved) == bool(refused):
        message = "an answer is either `approved_by` people or `refused_by` one"
        raise UsageError(message)
    return Answered(ticket, tuple(approved), refused)


def read_ticket(value: object) -> Ticket:
    """The inverse of `Ticket.to_json`; UsageError for anything else."""
    if isinstance(value, Mapping) and set(value) == set(_FIELDS):
        match value:
            case {
                "request": str() as request,
                "tool": str() as tool,
                "call": str() as call,
                "digest": str() as digest,
                "rule": str() as rule,
                "reason": str() as reason,
                "needed": int() as needed,
                "expires_at_ms": int() as expires,
                "origins": Mapping() as origins,
                "principal": str() as principal,
                "basis": str() as basis,
            } if request and all(map(_is_labelled, origins.items())):
                told = {name: tuple(labels) for name, labels in origins.items()}
                return Ticket(request, tool, call, digest, rule, reason, needed, expires, told, principal, basis)
    message = "this is no ticket of a paused call"
    raise UsageError(message)


def _is_labelled(item: tuple[object, object]) -> bool:
    name, labels = item
    return isinstance(name, str) and isinstance(labels, list) and all(isinstance(label, str) for label in labels)
