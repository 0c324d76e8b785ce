"""What a proof rests on is in its entry's digest; what only looks for models or shows them is not."""

from __future__ import annotations

from pathlib import Path

import sandbox
from sandbox.prove import ledger

MODELS_AND_REPORTS = {
    "__init__", "bounded", "certificate", "coming", "configurations", "coverage", "crew", "diff", "diff_words",
    "differences", "findings", "held", "html", "ledger", "limits", "manifest", "mending", "mends", "models",
    "mutants", "narrow", "nursery", "page", "page_matrix", "page_sequence", "reach", "reading", "recheck",
    "record", "regression", "replay", "replay_beside", "report", "resting", "said", "sarif", "saved",
    "sequence", "share", "sources", "standing", "tape", "tighten", "unroll", "verdicts", "verify", "weaken",
    "worker",
}  # fmt: skip


def test_every_module_of_the_prover_is_in_the_digest_unless_no_proof_rests_on_it() -> None:
    root = Path(sandbox.__file__).parent
    digested = {path.stem for pattern in ledger.ENCODER if pattern.startswith("prove/") for path in root.glob(pattern)}
    modules = {path.stem for path in (root / "prove").glob("*.py")}
    assert modules - digested <= MODELS_AND_REPORTS
