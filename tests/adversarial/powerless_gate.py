"""A program for `test_lost_power.py`: takes two calls the whole way, and keeps what would be left if the power went.

Usage: powerless_gate.py FOLDER OUTCOME TOOL. FOLDER/N is the N-th moment: of state and record only what was on disk by
then for sure. The database's files are on disk when a durable commit returns, the record's when an append does. The
last line printed is how many moments there are.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from gatekit import SpyRunner, open_gate

from sandbox.audit import AuditLog, Record
from sandbox.call import Outcome, Permit
from sandbox.ir import Json
from sandbox.state import Store, Transaction

SPEC = """\
sandbox: 1
name: release
state:
  begun: {type: int, initial: 0}
  tested: {type: int, initial: 0}
tools:
  test:
    args: {build: {type: int}}
    rules: [{id: all, allow: state.begun < 10}]
    then: {begun: state.begun + 1}
    on_success: {tested: "state.tested > args.build ? state.tested : args.build"}
    run: {tool: tools.release:test}
  plain:
    args: {build: {type: int}}
    rules: [{id: all, allow: state.begun < 10}]
    then: {begun: state.begun + 1}
    run: {tool: tools.release:plain}
"""
OUTCOMES = {
    "ok": Outcome("ok", "ok", "", result={"done": True}),
    "error": Outcome("error", "tool.error", "it broke"),
    "never": Outcome("sandbox_failure", "sandbox_failure.engine", "no engine answered", started=False),
}
DATABASE = ("state.db", "state.db-wal")
RECORD = "state.audit.jsonl"


class Disk:
    """What of `live` is on disk for sure, and the moments so far."""

    def __init__(self, root: Path, live: Path) -> None:
        self._root = root
        self._live = live / ".sandbox"
        self._kept: dict[str, bytes] = {}
        self.effects = 0
        self.moments = 0

    def keep(self, *names: str) -> None:
        for name in names:
            path = self._live / name
            self._kept.pop(name, None)
            if path.exists():
                self._kept[name] = path.read_bytes()

    def lose_power(self) -> None:
        """One more moment."""
        self.moments += 1
        folder = self._root / str(self.moments)
        (folder / ".sandbox").mkdir(mode=0o700, parents=True)
        for name, data in self._kept.items():
            (folder / ".sandbox" / name).write_bytes(data)
            (folder / ".sandbox" / name).chmod(0o600)
        (folder / "effects").write_text(str(self.effects))


def watch(disk: Disk) -> None:
    append, transaction = AuditLog.append, Store.transaction

    def appended(log: AuditLog, kind: str, body: Mapping[str, Json]) -> Record:
        disk.lose_power()
        record = append(log, kind, body)
        disk.keep(RECORD)
        disk.lose_power()
        return record

    @contextmanager
    def committed(made: AbstractContextManager[Transaction], *, durable: bool) -> Iterator[Transaction]:
        with made as open_transaction:
            yield open_transaction
        if durable:
            disk.keep(*DATABASE)
        disk.lose_power()

    def transacted(store: Store, *, durable: bool = True) -> AbstractContextManager[Transaction]:
        return committed(transaction(store, durable=durable), durable=durable)

    AuditLog.append = appended  # type: ignore[method-assign]  # all that is written passes by the disk
    Store.transaction = transacted  # type: ignore[method-assign]  # as above


def main(root: Path, outcome: Outcome, tool: str) -> None:
    live = root / "live"
    disk = Disk(root, live)

    def effect(_: Permit) -> Outcome:
        disk.effects += outcome.started
        disk.lose_power()
        return outcome

    behave: Callable[[Permit], Outcome] = effect
    with open_gate(live, text=SPEC, runner=SpyRunner(behave)) as gate:
        disk.keep(*DATABASE, RECORD)
        watch(disk)
        for build in (1, 2):
            gate.attempt({"tool": tool, "args": {"build": build}})
    print(disk.moments)  # noqa: T201  # the test reads it


if __name__ == "__main__":
    shutil.rmtree(Path(sys.argv[1]) / "live", ignore_errors=True)
    main(Path(sys.argv[1]), OUTCOMES[sys.argv[2]], sys.argv[3])
