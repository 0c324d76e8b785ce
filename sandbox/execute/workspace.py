"""Workspaces as transactions: a call sees a private copy; what it changed is judged, then committed or dropped whole.

The copy lies on a tmpfs of the granted size and number of entries, so that the kernel enforces both, and is
mounted nosuid, nodev and noexec. The workspace is locked from copy to commit: calls on one take turns.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from sandbox.call import Change, Outcome
from sandbox.errors import EnvironmentLacking, SandboxError, SandboxFailure
from sandbox.execute.changes import list_changes, refusal
from sandbox.execute.commit import commit, recover
from sandbox.execute.config import ContainerConfig
from sandbox.execute.folders import private_folder
from sandbox.execute.owner import Owner, owner_of_folder
from sandbox.execute.runner import ChangeJudge, Objection
from sandbox.execute.tree import Entry, TreeTooLarge, copy_tree, scan_tree
from sandbox.ir import Contract, Run, Workspace

LOCK_TIMEOUT_S: Final = 120
"""For the calls before this one on the same workspace; each is bounded by its own deadline."""

LOCK_POLL_S: Final = 0.01
"""The kernel has no lock with a deadline that does not need a signal."""

SPARE_ENTRIES: Final = 1
"""The root of the tmpfs counts as one."""

_MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 2, 4, 8
_MNT_DETACH: Final = 2
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Changes:
    """How the changes of one call are judged: by the tool's own rules where it declares some, else by ours alone."""

    declared: bool
    judge: ChangeJudge | None

    def objection(self, changes: tuple[Change, ...], after: Mapping[str, Entry]) -> Objection | None:
        """Why these changes may not be committed, or None if they may; `after` is the tree that they lead to."""
        judge = self.judge
        refused = refusal(changes, after, grants_hand_over=judge is not None and judge.grants_hand_over)
        if refused is not None:
            return Objection("changes.refused", refused)
        if judge is not None:
            return judge.objection(changes)
        if self.declared and changes:
            return Objection("changes.fault", "nobody was there to judge the changes by the rules of the spec")
        return None


OURS_ALONE: Final = Changes(declared=False, judge=None)
"""For a tool without rules about changes."""


@dataclass(slots=True)
class Transaction:
    """One call's view of its workspace. `view` is None where there is none; `failure` says why nothing can run."""

    view: Path | None = None
    failure: Outcome | None = None
    root: int = -1
    writable: bool = False
    size: int = 0
    before: dict[str, Entry] = field(default_factory=dict)

    def settle(self, outcome: Outcome, judging: Changes = OURS_ALONE) -> Outcome:
        """Commits the changes of a call that ended `ok`, if they may be; the outcome with the changes, or `error`."""
        if outcome.status != "ok" or self.view is None or not self.writable:
            return outcome
        view = os.open(self.view, _DIRECTORY)
        try:
            after = scan_tree(view, self.size)
            changes = list_changes(self.before, after)
            objection = judging.objection(changes, after)
            if objection is not None:
                return _refused(outcome, objection)
            if changes:
                commit(self.root, view, changes, self.before)
            return replace(outcome, changes=changes)
        except TreeTooLarge as error:
            return _refused(outcome, Objection("changes.refused", f"the workspace {error}"))
        except (SandboxFailure, OSError) as error:
            code = error.reason_code if isinstance(error, SandboxFailure) else "sandbox_failure.workspace"
            return replace(outcome, status="sandbox_failure", reason_code=code, reason=str(error), result=None)
        finally:
            os.close(view)


def workspace_folder(contract: Contract, workspace: Workspace) -> Path:
    """The workspace's folder on the host.

    Raises:
        EnvironmentLacking: it is not there.
    """
    own = os.path.dirname(os.path.abspath(contract.file))  # noqa: PTH100, PTH120  # links are not followed
    folder = Path(os.path.normpath(os.path.join(own, workspace.source)))  # noqa: PTH118  # as above
    if folder.is_symlink() or not folder.is_dir():
        message = f"the workspace `{folder}` is no folder: mkdir -p {folder}"
        raise EnvironmentLacking(message, "environment.workspace")
    return folder


@contextlib.contextmanager
def workspace_transaction(
    contract: Contract,
    run: Run,
    config: ContainerConfig,
    check: Callable[[], None] = lambda: None,
    *,
    first_ids: tuple[int, int] = (0, 0),
) -> Iterator[Transaction]:
    """A view of the tool's workspace, if it has one; gone when the context ends.

    `check` is asked again and again while other calls hold the workspace; a SandboxFailure of it ends the waiting.
    `first_ids` are the user and group that are 0 in the container: who is whose there belongs to others here.
    """
    if run.workspace is None:
        yield Transaction()
        return
    with contextlib.ExitStack() as stack:
        try:
            folder, user, group = workspace_folder(contract, run.workspace), config.user, config.group
            owner = first_ids[0] + user, first_ids[1] + group
            transaction = _open(stack, folder, run.workspace, check, owner)
        except (SandboxError, OSError) as error:
            code = error.reason_code if isinstance(error, SandboxFailure) else "sandbox_failure.workspace"
            transaction = Transaction(failure=Outcome("sandbox_failure", code, _reason(error), started=False))
        yield transaction


def drop_abandoned_views() -> None:
    """Unmounts and removes the views whose owners are gone."""
    for folder in private_folder("views").iterdir():
        owner = owner_of_folder(folder.name)
        if owner is not None and owner.is_gone():
            with contextlib.suppress(FileNotFoundError):  # another process drops the same one
                _unmount(folder)
    for folder in private_folder("partial").iterdir():
        owner = owner_of_folder(folder.name)
        if owner is not None and owner.is_gone():
            shutil.rmtree(folder, ignore_errors=True)  # as above


# --- private -------------------------------------------------------------------------------------------


def _open(
    stack: contextlib.ExitStack,
    folder: Path,
    workspace: Workspace,
    check: Callable[[], None],
    owner: tuple[int, int],
) -> Transaction:
    root = os.open(folder, _DIRECTORY)
    stack.callback(os.close, root)
    lock_workspace(root, check)
    stack.callback(fcntl.flock, root, fcntl.LOCK_UN)  # closing is not enough where a fork has a copy
    recover(root)
    view = mount_view(stack, workspace, owner)
    target = os.open(view, _DIRECTORY)
    try:
        before = copy_tree(root, target, user=owner[0], group=owner[1], entries=workspace.entries)
    finally:
        os.close(target)
    writable = workspace.mode == "rw"
    if not writable:
        fcntl.flock(root, fcntl.LOCK_UN)
    return Transaction(view, None, root, writable, workspace.size, before)


def _refused(outcome: Outcome, objection: Objection) -> Outcome:
    code, reason = objection.reason_code, objection.reason
    return replace(outcome, status="error", reason_code=code, reason=reason, result=None)


def lock_workspace(root: int, check: Callable[[], None] = lambda: None) -> None:
    """Waits for the calls before this one; SandboxFailure if they take too long, or as `check` raises it."""
    deadline = time.monotonic() + LOCK_TIMEOUT_S
    while True:
        try:
            fcntl.flock(root, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                message = f"another call has held the workspace for {LOCK_TIMEOUT_S} s"
                raise SandboxFailure(message, "sandbox_failure.workspace") from None
            check()
            time.sleep(LOCK_POLL_S)
        else:
            return


def mount_view(stack: contextlib.ExitStack, workspace: Workspace, owner: tuple[int, int]) -> Path:
    """A new tmpfs of the granted size, which belongs to this user and group: the container's."""
    view = private_folder("views") / f"{Owner.claiming().name}.{secrets.token_hex(8)}"
    view.mkdir(mode=0o700)
    stack.callback(_unmount, view)
    size = f"size={workspace.size},nr_inodes={workspace.entries + SPARE_ENTRIES}"
    options = f"{size},mode=0755,uid={owner[0]},gid={owner[1]}"
    flags = _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", os.fsencode(view), b"tmpfs", flags, options.encode()) != 0:
        message = f"a workspace needs the right to mount a tmpfs (root): {os.strerror(ctypes.get_errno())}"
        raise EnvironmentLacking(message, "environment.workspace")
    return view


def _unmount(view: Path) -> None:
    """Unmounts at once, even if something still holds the view, and removes the mount point."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.umount2(os.fsencode(view), _MNT_DETACH)
    view.rmdir()


def _reason(error: SandboxError | OSError) -> str:
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "the workspace does not fit its `size` or `entries`; give `workspace` in the spec more"
    return str(error)
