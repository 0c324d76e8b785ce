"""The prover: what must never, must always, or can happen, over all calls and all sequences of calls."""
