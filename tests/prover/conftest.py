"""What tests of the prover share."""

from __future__ import annotations

import pytest

from sandbox.prove.crew import Crew, Reply
from sandbox.prove.worker import Order, carried_out


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Solving in a child is tested elsewhere; where this is used it would only take time."""

    def carry_out(_: Crew, order: Order) -> Reply:
        work = carried_out(order)
        return Reply(work.finding, work.spent, 0, work.rests_on, work.obligations, work.doubts)

    monkeypatch.setattr(Crew, "carry_out", carry_out)
