"""A spec in a folder like `/tmp`: who may not change the spec must not choose the code that it names."""

from __future__ import annotations

from pathlib import Path

import execkit
import pytest

from sandbox.errors import UsageError
from sandbox.execute.source import resolve_source, shipped_folder
from sandbox.ir import Run, RunTool


@pytest.mark.parametrize("mode", [0o1777, 0o1775])
def test_a_module_planted_beside_the_spec_is_not_what_runs(tmp_path: Path, mode: int) -> None:
    shared = tmp_path / "shared"
    (shared / "tools").mkdir(parents=True)
    (shared / "tools" / "__init__.py").touch()
    (shared / "tools" / "python.py").write_text("def run_code(code): return 'planted'")
    (shared / "mine.py").write_text("def f(): return 'planted'")
    spec = str(shared / "spec.yaml")
    for folder_mode, planted in ((0o755, True), (mode, False)):
        shared.chmod(folder_mode)
        run = Run(RunTool("tools.python", "run_code"))
        contract = execkit.contract_of(execkit.tool_of("t", run), spec)
        expected = shared / "tools" if planted else shipped_folder() / "tools"
        assert resolve_source(contract, run).origin == expected
    with pytest.raises(UsageError):
        resolve_source(contract, Run(RunTool("mine", "f")))
