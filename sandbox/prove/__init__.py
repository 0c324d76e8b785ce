"""The prover: what must never, must always, or can happen, over all calls and all sequences of calls."""

from sandbox.prove.report import PropertyReport, Report, property_words, report_to_json, words
from sandbox.prove.run import Batch, ProveOptions, prove_batches, prove_paths
from sandbox.prove.verdicts import Bounded, Moves, Proved, Refuted, Replayed, Unknown, Vacuous, Verdict

__all__ = [
    "Batch",
    "Bounded",
    "Moves",
    "PropertyReport",
    "ProveOptions",
    "Proved",
    "Refuted",
    "Replayed",
    "Report",
    "Unknown",
    "Vacuous",
    "Verdict",
    "property_words",
    "prove_batches",
    "prove_paths",
    "report_to_json",
    "words",
]
