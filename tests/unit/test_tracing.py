"""What costs no time for being traced: what `no_cover` marks, with all that it starts, and solvers."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from sandbox import engines

CONFIG = "COVERAGE_PROCESS_CONFIG"


@pytest.mark.no_cover
def test_a_long_search_is_traced_neither_here_nor_in_its_threads_and_processes() -> None:
    assert sys.gettrace() is None
    assert threading.gettrace() is None
    assert not [name for name in os.environ if name.startswith("COVERAGE_PROCESS")]


def test_a_solver_is_not_traced_for_it_is_killed_and_its_trace_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CONFIG, "")  # what is started here would trace nothing anyway
    child = engines.spawn()
    told = Path(f"/proc/{child.pid}/environ").read_bytes().split(b"\0")
    with child:
        child.kill()
    assert b"PYTHONPATH=" in b"".join(told)
    assert not [each for each in told if each.startswith(b"COVERAGE_PROCESS")]
    assert os.environ[CONFIG] == ""  # what else is started is traced as before
