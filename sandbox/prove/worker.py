"""A property's attempt in a process of its own: the child's side. One order in, one reply out, then it ends.

Solvers have no stop button, so the parent kills this process at its deadline; and it ends by itself when the parent
is gone. Whatever goes wrong in here is `gave up`, never a proof.
"""

from __future__ import annotations

import math
import os
import resource
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from sandbox import ir
from sandbox.engines import read_frame, write_frame
from sandbox.errors import EnginesDisagree, Fault
from sandbox.ir import Contract, Expr, Json, Property
from sandbox.prove.findings import Disputed, Finding, GaveUp, Shown, SolverChoice, finding_from_json, finding_to_json
from sandbox.prove.record import (
    NOTHING,
    Doubt,
    Obligation,
    RestsOn,
    doubt_from_json,
    obligation_from_json,
    obligation_to_json,
    rests_on,
    rests_on_from_json,
    rests_on_to_json,
)

MAX_MEMORY: Final = 6 * 1024 * 1024 * 1024
"""Address space of the child: beyond it an allocation fails here, and not in the caller's program."""

SPARE_CPU_S: Final = 300
"""Seconds of processor time beyond the order's: the parent kills it long before, but it may be killed itself."""

MOST_CPU_S: Final = 10_000_000.0
"""What counts as an order's seconds at most: the kernel's limit is an integer."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a child is asked. `others` is as for `attempt`, `ids` name them; `seconds` from when the order is read.

    With the folder `emit` every query becomes a file there. With `known` nothing is proved: those files of the folder
    are read again, and an attempt may rest on nothing else, with this `invariant` where one is needed. Unless it is
    to `seek`, it looks for a proof only, and for no calls.
    """

    contract: Contract
    subject: Property
    others: tuple[Expr, ...]
    ids: tuple[str, ...]
    choice: SolverChoice
    seconds: float
    emit: str | None
    prefix: str
    known: tuple[Obligation, ...] | None = None
    invariant: tuple[str, ...] = ()
    seek: bool = True


@dataclass(frozen=True, slots=True)
class Work:
    """What a child replies: what it found, the solver's resource units that it took, and what a proof rests on.

    `obligations` are those that were written, or those of the certificate that counted; `doubts` say why one did not.
    """

    finding: Finding
    spent: int
    rests_on: RestsOn = NOTHING
    obligations: tuple[Obligation, ...] = ()
    doubts: tuple[Doubt, ...] = ()


def work_to_json(work: Work) -> Json:
    """The work as it is replied."""
    return {
        "finding": finding_to_json(work.finding),
        "spent": work.spent,
        "rests_on": rests_on_to_json(work.rests_on),
        "obligations": [obligation_to_json(each) for each in work.obligations],
        "doubts": [[each.file, each.kind] for each in work.doubts],
    }


def work_from_json(message: Json) -> Work:
    """The work as it was replied; raises Fault if it is none."""
    match message:
        case {
            "finding": finding,
            "spent": int() as spent,
            "rests_on": rests_on,
            "obligations": list() as obligations,
            "doubts": list() as doubts,
        }:
            return Work(
                finding_from_json(finding),
                spent,
                rests_on_from_json(rests_on),
                tuple(obligation_from_json(each) for each in obligations),
                tuple(doubt_from_json(each) for each in doubts),
            )
        case _:
            message_text = "a prover's child replied oddly"
            raise Fault(message_text)


def order_to_json(order: Order) -> Json:
    """The order as it is sent."""
    return {
        "contract": ir.to_json(order.contract),
        "subject": ir.to_json(order.subject),
        "others": ir.to_json(order.others),
        "ids": list(order.ids),
        "choice": order.choice,
        "seconds": order.seconds,
        "emit": order.emit,
        "prefix": order.prefix,
        "known": None if order.known is None else [obligation_to_json(each) for each in order.known],
        "invariant": list(order.invariant),
        "seek": order.seek,
    }


def order_from_json(message: Json) -> Order:
    """The order as it was sent; raises Fault if it is none."""
    match message:
        case {
            "contract": contract,
            "subject": subject,
            "others": others,
            "ids": list() as ids,
            "choice": choice,
            "seconds": int() | float() as seconds,
            "emit": str() | None as emit,
            "prefix": str() as prefix,
            "known": list() | None as known,
            "invariant": list() as invariant,
            "seek": bool() as seek,
        }:
            return Order(
                cast("Contract", ir.from_json(contract)),
                cast("Property", ir.from_json(subject)),
                cast("tuple[Expr, ...]", ir.from_json(others)),
                tuple(str(each) for each in ids),
                cast("SolverChoice", choice),
                float(seconds),
                emit,
                prefix,
                None if known is None else tuple(obligation_from_json(each) for each in known),
                tuple(str(text) for text in invariant),
                seek,
            )
        case _:
            message_text = "a prover's child was sent what is no order"
            raise Fault(message_text)


def carried_out(order: Order) -> Work:
    """What was found, what it took, and what it rests on. Never raises an Exception."""
    try:
        return _proved(order) if order.known is None else _read_again(order, order.known)
    except EnginesDisagree as error:
        return Work(Disputed(str(error)), 0)
    except Exception as error:  # noqa: BLE001 - fail closed: whatever the attempt met, nothing is proved
        return Work(GaveUp(f"the attempt failed: {type(error).__name__}: {error}"), 0)


def _proved(order: Order) -> Work:
    from sandbox.prove.attempt import attempt  # noqa: PLC0415 - only the child loads the solvers
    from sandbox.prove.solve import Desk  # noqa: PLC0415 - only the child loads the solvers
    from sandbox.prove.sources import Naming  # noqa: PLC0415 - only the child loads the solvers
    from sandbox.prove.tape import Tape  # noqa: PLC0415 - only the child loads the solvers

    tape = Tape(Naming(*_told(order), order.others, order.ids), order.choice)
    desk = Desk(order.choice, time.monotonic() + order.seconds, emit=tape, seeks=order.seek)
    finding = attempt(order.contract, order.subject, order.others, desk)
    if isinstance(finding, Shown):
        return Work(finding, desk.spent)  # a sequence stands on its replay, and on no answer of a solver
    written = () if order.emit is None else tape.written(Path(order.emit), order.prefix)
    return Work(finding, desk.spent, rests_on(tape.decided()), written)


def _read_again(order: Order, known: tuple[Obligation, ...]) -> Work:
    from sandbox.prove.attempt import attempt  # noqa: PLC0415 - only the child loads the solvers
    from sandbox.prove.recheck import Counter, Files  # noqa: PLC0415 - only the child loads the solvers
    from sandbox.prove.sameness import commons  # noqa: PLC0415 - only the child proves
    from sandbox.prove.sources import Naming  # noqa: PLC0415 - only the child loads the solvers
    from sandbox.prove.spoken import read_invariants  # noqa: PLC0415 - only the child reads expressions
    from sandbox.prove.tape import Tape  # noqa: PLC0415 - only the child loads the solvers

    naming = Naming(*_told(order), order.others, order.ids)
    naming.learn(read_invariants(order.invariant, naming.contract, commons((naming.subject.condition,))))
    tape = Tape(naming)
    files = Files(Path(order.emit or ""), known)
    desk = Counter(order.choice, time.monotonic() + order.seconds, files=files, tape=tape, hint=order.invariant)
    finding = attempt(order.contract, order.subject, order.others, desk)
    return Work(finding, 0, rests_on(tape.decided()), files.counted(), files.doubts())


def _told(order: Order) -> tuple[Contract, Property]:
    """In whose words a proof is told: of several specs, what they are together; of a `needs`, what remembers."""
    from sandbox.prove.beside import beside, prefix_of  # noqa: PLC0415 - only for what is about several specs
    from sandbox.prove.needing import remembering  # noqa: PLC0415 - only the child proves

    if order.subject.kind == "within":
        return beside(order.contract, order.subject.ceilings, prefix_of(order.subject)).told, order.subject
    return remembering(order.contract, order.subject)


def serve() -> None:
    """The child: read the order, carry it out, reply."""
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    order = order_from_json(read_frame(sys.stdin.buffer))
    own_time = math.ceil(min(order.seconds, MOST_CPU_S)) + SPARE_CPU_S
    resource.setrlimit(resource.RLIMIT_CPU, (own_time, own_time))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    write_frame(sys.stdout.buffer, work_to_json(carried_out(order)))


def _end_with_parent() -> None:
    """The parent sends nothing more, so that the end of stdin is its end."""
    sys.stdin.buffer.read()
    os._exit(1)
