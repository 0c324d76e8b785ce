"""Adapters are tested in environments of their own, which `tests/conformance/test_adapters.py` makes and enters."""

from __future__ import annotations

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))  # `gatekit`

ADAPTER = os.environ.get("SANDBOX_ADAPTER", "")
"""The adapter whose environment this is; elsewhere nothing in this folder can be collected."""

collect_ignore = [path.name for path in HERE.glob("test_*.py") if path.stem != f"test_{ADAPTER.replace('-', '_')}"]
