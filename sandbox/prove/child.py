"""The program of a prover's child process; see `worker`."""

from __future__ import annotations

from sandbox.prove.worker import serve

if __name__ == "__main__":
    serve()
