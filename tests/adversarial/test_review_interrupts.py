"""Ctrl-C between any two lines of a transaction: the next call finds neither a lock nor a half-open transaction."""

from __future__ import annotations

import linecache
import sys
from pathlib import Path
from types import FrameType

from sandbox import state
from sandbox.state import Store

NO_CALL = ("try:", "with ")
"""Lines at whose place the interpreter looks for no signal: a trace function could raise there, Ctrl-C cannot."""


def interrupted_at(store: Store, line: int) -> bool:
    """Whether there was such a line; KeyboardInterrupt is raised before it."""
    seen = 0

    def trace(frame: FrameType, event: str, _: object) -> object:
        nonlocal seen
        if frame.f_code.co_filename != state.__file__:
            return None
        if event == "line" and not linecache.getline(state.__file__, frame.f_lineno).strip().startswith(NO_CALL):
            seen += 1
            if seen == line:
                sys.settrace(None)
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        with store.transaction() as transaction:
            transaction.stopped()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


def test_an_interrupted_transaction_holds_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'state.db'}"
    store, other = Store.open(url, ""), Store.open(url, "")
    line = 1
    while interrupted_at(store, line):
        assert not store._lock.locked(), line
        assert not store._connection.in_transaction, line
        for each in (store, other):
            with each.transaction() as transaction:
                transaction.stop()
        line += 1
    assert line > 10
    store.close()
    other.close()
