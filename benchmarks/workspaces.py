"""A workspace as a transaction: the private copy, and the commit of what a call changed, beside `cp -a` of the tree."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path

from figures import Figure, related, timed

from sandbox.call import Outcome
from sandbox.execute.config import compile_config
from sandbox.execute.workspace import Transaction, workspace_transaction
from sandbox.ir import Contract, Run, RunTool, Tool, Workspace

TREES = {1_000: 50 * 1024, 20_000: 2 * 1024}  # files, and bytes of each: about 50 and 40 MB
PER_FOLDER = 100
OK = Outcome("ok", "ok", "")
COPY = "cp -a"


def figures() -> list[Figure]:
    """One run of each: they take seconds, and what varies is the disk."""
    return [figure for count, size in TREES.items() for figure in of_tree(count, size)]


def of_tree(count: int, size: int) -> list[Figure]:
    """The figures of one tree."""
    with tempfile.TemporaryDirectory() as folder:
        shared = Path(folder, "shared")
        grow(shared, count, size)
        times = {COPY: timed(lambda: copied(shared, Path(folder, "copy")))}
        times["opened: the private copy, and its manifest"], times["closed without a change"] = opened(folder, 0)
        _, times["commit of 1 file"] = opened(folder, 1)
        _, times[f"commit of {count:,} files"] = opened(folder, count)
    return related(f"a workspace of {count:,} files", times, COPY)


def opened(folder: str, changes: int) -> tuple[float, float]:
    """Milliseconds until a call could start, and from its end until its changes are there."""
    transactions: list[Transaction] = []
    context = transaction(folder)
    before = timed(lambda: transactions.append(context.__enter__()))
    (found,) = transactions
    if found.view is None:
        raise SystemExit(found.failure.reason if found.failure else "no view")
    for at, file in enumerate(sorted(path for path in found.view.rglob("*") if path.is_file())):
        if at < changes:
            file.write_bytes(f"{changes:8}".encode() + file.read_bytes()[8:])

    def close() -> None:
        outcome = found.settle(OK)
        context.__exit__(None, None, None)
        if outcome.status != "ok" or len(outcome.changes) != changes:
            message = f"{outcome.status}, {len(outcome.changes)} changes: {outcome.reason}"
            raise SystemExit(message)

    return before, timed(close)


def transaction(folder: str) -> AbstractContextManager[Transaction]:
    """As the runner of a call opens it."""
    workspace = Workspace("shared", "rw", size=256 * 1024 * 1024, entries=30_000)
    run = Run(RunTool("t", "t"), workspace=workspace)
    tool = Tool("t", (), (), run=run)
    contract = Contract("t", (tool,), file=str(Path(folder, "spec.yaml")))
    return workspace_transaction(contract, run, compile_config(contract, tool))


def grow(folder: Path, count: int, size: int) -> None:
    """So many files, a hundred in each folder."""
    for at in range(count):
        file = folder / str(at // PER_FOLDER) / str(at)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(f"{at} ".encode().ljust(size, b"x"))


def copied(source: Path, target: Path) -> None:
    """What a copy costs that nobody looks at."""
    subprocess.run(["cp", "-a", source, target], check=True)
    shutil.rmtree(target)
