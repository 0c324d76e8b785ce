"""Generators as host tools: one iteration is one call through the gate, whole and bounded."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from gatekit import PAYMENTS, TRUSTED, kinds, open_gate

from sandbox.decorator import sandboxed
from sandbox.errors import Denied, ToolError, UsageError
from sandbox.gate import Gate

HOST = PAYMENTS.replace("run:  {tool: tools.payments:send_money, timeout: 10s}", 'run: {host: "a session"}')
PAID = {"tool": "send_money", "args": {"recipient": TRUSTED[0], "amount": "10.00"}}


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    with open_gate(tmp_path, text=HOST) as opened:
        yield opened


def test_iterating_is_one_call_and_not_iterating_is_none(gate: Gate, tmp_path: Path) -> None:
    ran: list[str] = []

    @sandboxed(gate)
    def send_money(recipient: str, amount: Decimal, note: str = "") -> Iterator[str]:
        ran.append(str(amount))
        yield recipient[:2]
        yield str(amount)

    made = send_money(TRUSTED[0], Decimal("10.00"))
    assert ran == []
    assert list(made) == ["GB", "10.00"]
    assert list(made) == []
    assert (ran, kinds(tmp_path).count("outcome")) == (["10.00"], 1)


def test_an_async_generator_is_iterated_in_the_same_way(gate: Gate, tmp_path: Path) -> None:
    @sandboxed(gate)
    async def send_money(recipient: str, amount: Decimal, note: str = "") -> AsyncIterator[int]:
        yield 1
        await asyncio.sleep(0)
        yield 2

    async def taken() -> list[int]:
        return [item async for item in send_money(TRUSTED[0], Decimal("10.00"))]

    assert asyncio.run(taken()) == [1, 2]
    assert kinds(tmp_path).count("outcome") == 1


def test_a_denied_one_yields_nothing_and_never_begins(gate: Gate) -> None:
    ran: list[bool] = []

    @sandboxed(gate)
    def send_money(recipient: str, amount: Decimal, note: str = "") -> Iterator[int]:
        ran.append(True)
        yield 1

    with pytest.raises(Denied):
        list(send_money(TRUSTED[0], Decimal("6000.00")))
    with pytest.raises(TypeError):
        send_money(TRUSTED[0])
    assert ran == []


def test_one_without_end_is_closed_at_the_limit(gate: Gate) -> None:
    closed: list[bool] = []

    @sandboxed(gate)
    def send_money(recipient: str, amount: Decimal, note: str = "") -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.append(True)

    with pytest.raises(ToolError, match="yields more than") as error:
        list(send_money(TRUSTED[0], Decimal("10.00")))
    assert (error.value.reason_code, closed) == ("limit.result", [True])


def test_an_async_one_without_end_is_closed_at_the_limit(gate: Gate) -> None:
    closed: list[bool] = []

    async def send_money(**_: object) -> AsyncIterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.append(True)

    gate.attach("send_money", send_money)
    with pytest.raises(ToolError, match="yields more than"):
        gate.call(PAID)
    assert closed == [True]


def test_a_failure_in_the_middle_is_a_failure_of_the_whole(gate: Gate) -> None:
    def send_money(**_: object) -> Iterator[int]:
        yield 1
        message = "half way"
        raise ValueError(message)

    gate.attach("send_money", send_money)
    with pytest.raises(ToolError, match="ValueError: half way"):
        gate.call(PAID)


def test_items_that_are_no_json_are_no_result(gate: Gate) -> None:
    gate.attach("send_money", lambda **_: (each for each in [object()]))
    with pytest.raises(ToolError, match="no JSON result"):
        gate.call(PAID)


def test_what_is_returned_of_a_coroutine_may_be_one(gate: Gate) -> None:
    async def send_money(**_: object) -> object:
        return (number for number in range(3))

    gate.attach("send_money", send_money)
    assert json.loads(json.dumps(gate.call(PAID).value)) == [0, 1, 2]


def test_in_a_container_there_is_no_generator(tmp_path: Path) -> None:
    def send_money(recipient: str, amount: Decimal, note: str = "") -> Iterator[int]:
        yield 1

    with (
        open_gate(tmp_path) as opened,
        pytest.raises(UsageError, match="a tool that runs in a container returns one result"),
    ):
        sandboxed(opened)(send_money)
