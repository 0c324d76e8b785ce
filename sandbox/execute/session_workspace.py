"""The workspace of a server that lives for one session: one view for all of it, and still a transaction for every call.

Before a call the view equals the workspace; what the call left in it is judged and committed, or taken back. While
either is looked at or written the server is frozen, and what it wrote between two calls is taken back as well.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from sandbox.call import Outcome
from sandbox.errors import SandboxFailure
from sandbox.execute.commit import recover
from sandbox.execute.config import ContainerConfig
from sandbox.execute.tree import Entry, Mark, copy_tree, empty_folder, marks_in, marks_of, open_folder, opened, stamp_of
from sandbox.execute.workspace import Changes, Transaction, lock_workspace, mount_view, workspace_folder
from sandbox.ir import Contract, Workspace

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

Frozen = Callable[[], contextlib.AbstractContextManager[None]]
"""Freezes the server for as long as the context lasts."""


@dataclass(slots=True)
class SessionWorkspace:
    """A mounted view and what is known of it. Not thread-safe: calls of a session take turns."""

    view: Path
    _workspace: Workspace
    _ids: tuple[int, int]
    _root: int
    _target: int
    _stack: contextlib.ExitStack
    _before: dict[str, Entry] = field(default_factory=dict)
    _left: dict[str, Mark] = field(default_factory=dict)
    _stale: bool = True

    @classmethod
    def open(
        cls, contract: Contract, workspace: Workspace, config: ContainerConfig, first_ids: tuple[int, int] = (0, 0)
    ) -> SessionWorkspace:
        """A new view, mounted and filled; `first_ids` as in `workspace_transaction`.

        Raises:
            EnvironmentLacking: no such folder, or no right to mount.
            SandboxFailure: the workspace does not fit its `size` or `entries`.
        """
        with contextlib.ExitStack() as stack:
            root = os.open(workspace_folder(contract, workspace), _DIRECTORY)
            stack.callback(os.close, root)
            ids = first_ids[0] + config.user, first_ids[1] + config.group
            view = mount_view(stack, workspace, ids)
            target = os.open(view, _DIRECTORY)
            stack.callback(os.close, target)
            opened_view = cls(view, workspace, ids, root, target, stack)
            with opened_view._locked():
                recover(root)
                opened_view._fill()
            opened_view._stack = stack.pop_all()
            return opened_view

    def close(self) -> None:
        """Unmounts the view; a second time does nothing."""
        self._stack.close()

    @contextlib.contextmanager
    def call(self, frozen: Frozen, changes: Changes | None) -> Iterator[Callable[[Outcome], Outcome]]:
        """One call's turn: the view equals the workspace when it begins; what is yielded settles its outcome, once.

        Where `changes` is None the call commits nothing: what it wrote is taken back before the next one.
        """
        with self._locked():
            self._refresh(frozen)
            settled = False

            def settle(outcome: Outcome) -> Outcome:
                nonlocal settled
                settled = True
                return self._settle(frozen, outcome, changes)

            try:
                yield settle
            finally:
                self._stale = self._stale or not settled

    # --- private ---------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        lock_workspace(self._root)
        try:
            yield
        finally:
            fcntl.flock(self._root, fcntl.LOCK_UN)

    def _refresh(self, frozen: Frozen) -> None:
        recover(self._root)
        with frozen() if self._writable else contextlib.nullcontext():
            known = not self._stale and marks_of(self._root) == marks_in(self._before)
            if known and (not self._writable or marks_of(self._target) == self._left):
                return
        with frozen():
            empty_folder(self._target)
            self._fill()

    def _fill(self) -> None:
        self._stale = True
        user, group = self._ids
        self._before = copy_tree(self._root, self._target, user=user, group=group, entries=self._workspace.entries)
        self._left = marks_of(self._target)
        self._stale = False

    def _settle(self, frozen: Frozen, outcome: Outcome, changes: Changes | None) -> Outcome:
        if not self._writable or changes is None:
            return outcome
        if outcome.status != "ok":
            self._stale = True
            return outcome
        size = self._workspace.size
        transaction = Transaction(self.view, None, self._root, True, size, self._before)  # noqa: FBT003  # a view that may be written
        with frozen():
            settled = transaction.settle(outcome, changes)
            self._stale = settled.status != "ok" or not self._keep_up(settled)
        return settled

    def _keep_up(self, settled: Outcome) -> bool:
        """Knows the workspace as it is after its changes; False where somebody else changed the same paths."""
        for change in settled.changes:
            if change.kind == "deleted":
                self._before.pop(change.path, None)
                continue
            entry = Entry(change.type, change.mode, change.size, change.digest, (0, 0, 0, 0))
            try:
                self._before[change.path] = self._stamped(change.path, entry)
            except (OSError, SandboxFailure):
                return False
        self._left = marks_of(self._target)
        return True

    def _stamped(self, path: str, entry: Entry) -> Entry:
        parent, _, name = path.rpartition("/")
        folder = open_folder(self._root, parent)
        try:
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if entry.kind == "file" and _digest(folder, name) != entry.digest:
                message = "changed by somebody else"
                raise SandboxFailure(message)
            return replace(entry, stamp=stamp_of(found))
        finally:
            os.close(folder)

    @property
    def _writable(self) -> bool:
        return self._workspace.mode == "rw"


def _digest(folder: int, name: str) -> str:
    with (
        opened(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, folder) as descriptor,
        os.fdopen(os.dup(descriptor), "rb") as file,
    ):
        return hashlib.file_digest(file, "sha256").hexdigest()
