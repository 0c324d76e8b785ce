"""What `no_cover` promises: the test that is marked so, and what it starts, takes no time for being traced."""

from __future__ import annotations

import os
import sys
import threading

import pytest


@pytest.mark.no_cover
def test_a_long_search_is_traced_neither_here_nor_in_its_threads_and_processes() -> None:
    assert sys.gettrace() is None
    assert threading.gettrace() is None
    assert not [name for name in os.environ if name.startswith("COVERAGE_PROCESS")]
