"""Whose a container or a folder is: by a claim that its process holds, else by the process; never by a label alone."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.execute import folders, owner
from sandbox.execute.owner import CLAIM_LIFE_S, Owner, drop_old_claims, owner_of, owner_of_folder
from sandbox.execute.workspace import drop_abandoned_views

PROJECT = Path(__file__).parents[2]
CLAIMER = """
import os, sys
sys.path.insert(0, {project!r})
from pathlib import Path
from sandbox.execute import folders
folders.SYSTEM_FOLDER = Path({place!r})
os.environ["XDG_RUNTIME_DIR"] = {place!r}
from sandbox.execute.owner import Owner
this = Owner.claiming()
if {forks}:
    near, far = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(far, b"x")
        os.execv("/bin/sleep", ["sleep", "600"]) if {executes} else __import__("signal").pause()
    os.read(near, 1)
    print(child)
print(this.pid, this.start or "-", this.boot, this.namespace, flush=True)
sys.stdin.read()
"""
ELSEWHERE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of our own that nobody else uses."""
    monkeypatch.setattr(folders, "SYSTEM_FOLDER", tmp_path)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(owner, "_held", {})
    return tmp_path


@contextmanager
def claimer(place: Path, *words: str, forks: bool = False, executes: bool = False) -> Iterator[tuple[Owner, list[str]]]:
    """A process that has claimed what it makes, and what it said before that; killed in the end."""
    program = CLAIMER.format(project=str(PROJECT), place=str(place), forks=forks, executes=executes)
    with subprocess.Popen(
        [*words, sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        said = [process.stdout.readline().strip() for _ in range(2 if forks else 1)]
        pid, start, boot, namespace = said.pop().split()
        try:
            yield said_by(pid, start, boot, namespace), said
        finally:
            process.kill()
            with (folders.private_folder("owners") / said_by(pid, start, boot, namespace).name).open() as claim:
                fcntl.flock(claim, fcntl.LOCK_SH)  # until it is gone, wherever it was


def said_by(pid: str, start: str, boot: str, namespace: str) -> Owner:
    return Owner(int(pid), start.strip("-"), boot, namespace)


def test_an_owner_is_gone_when_its_process_is(place: Path) -> None:
    with claimer(place) as (found, _):
        assert not found.is_gone()
        os.kill(found.pid, signal.SIGKILL)
        os.waitid(os.P_PID, found.pid, os.WEXITED | os.WNOWAIT)
        assert found.is_gone()


def test_an_owner_in_another_name_space_lives_and_dies_as_one_here(place: Path) -> None:
    """Its number is another process's here, or nobody's: going by that a living owner's would go."""
    with claimer(place, *ELSEWHERE) as (found, _):
        assert found.namespace != Owner.this().namespace
        assert not found.is_gone()
        view = folders.private_folder("views") / f"{found.name}.abc"
        view.mkdir()
        drop_abandoned_views()
        assert view.exists()
    assert found.is_gone()
    drop_abandoned_views()
    assert not view.exists()


def test_what_an_owner_claims_is_told_from_what_has_its_number_in_another_name_space(place: Path) -> None:
    with claimer(place, *ELSEWHERE) as (found, _):
        here = replace(found, namespace=Owner.this().namespace)
        assert here.is_gone()
        assert not found.is_gone()


@pytest.mark.parametrize("executes", [True, False])
def test_a_child_does_not_keep_its_parent_s_claim(executes: bool, place: Path) -> None:
    with claimer(place, forks=True, executes=executes) as (found, (child,)):
        assert not found.is_gone()
        os.kill(found.pid, signal.SIGKILL)
        os.waitid(os.P_PID, found.pid, os.WEXITED | os.WNOWAIT)
        try:
            assert found.is_gone()
        finally:
            os.kill(int(child), signal.SIGKILL)


def test_a_process_that_hides_from_us_is_taken_to_live(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with `hidepid`, where another user's process has no folder in /proc."""
    other = replace(Owner.this(), pid=os.getppid(), start="1")
    assert other.is_gone()
    monkeypatch.setattr(owner, "_start_of", lambda pid: None if pid != os.getpid() else "2")
    assert not other.is_gone()
    assert replace(other, pid=2**22 + 1).is_gone()


@pytest.mark.parametrize(
    ("label", "text"),
    [
        (owner.LABEL_PID, ""),
        (owner.LABEL_PID, "0"),
        (owner.LABEL_PID, "-1"),
        (owner.LABEL_PID, "9" * 11),
        (owner.LABEL_PID, "\uff11"),
        (owner.LABEL_PID, "1\n"),
        (owner.LABEL_START, "../../../etc/passwd"),
        (owner.LABEL_START, "1 "),
        (owner.LABEL_BOOT, "../x"),
        (owner.LABEL_BOOT, ""),
        (owner.LABEL_NAMESPACE, "pid:[1]/../.."),
        (owner.LABEL_NAMESPACE, "1"),
    ],
)
def test_labels_that_we_would_not_write_name_nobody(label: str, text: str) -> None:
    labels = dict(Owner.this().labels("x"))
    assert owner_of(labels) == Owner.this()
    assert owner_of({**labels, label: text}) is None
    assert owner_of({name: value for name, value in labels.items() if name != label}) is None


def test_a_folder_s_name_says_whose_it_is() -> None:
    this = Owner.this()
    assert owner_of_folder(f"{this.name}.abc") == this
    for name in ("", "abc", "1.2.abc", f"x{this.name}.abc", this.name, "...."):
        assert owner_of_folder(name) is None


def test_the_largest_number_that_a_label_may_hold_is_nobody_surely() -> None:
    assert isinstance(replace(Owner.this(), pid=9_999_999_999).is_gone(), bool)


def test_claims_that_nobody_holds_are_dropped_when_they_are_old(place: Path) -> None:
    mine = Owner.claiming()
    with claimer(place) as (found, _):
        pass
    claims = folders.private_folder("owners")
    now = (claims / found.name).stat().st_mtime
    drop_old_claims(now + CLAIM_LIFE_S - 1)
    assert {each.name for each in claims.iterdir()} == {mine.name, found.name}
    drop_old_claims(now + CLAIM_LIFE_S + 60)
    assert {each.name for each in claims.iterdir()} == {mine.name}


def test_a_claim_that_is_dropped_while_it_is_made_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    path = folders.private_folder("owners") / Owner.this().name
    lock = fcntl.flock
    dropped = []

    def slow(descriptor: int, operation: int) -> None:
        if not dropped:
            dropped.append(path.unlink())
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", slow)
    this = Owner.claiming()
    assert path.exists()
    assert not this.is_gone()
    assert Owner.claiming() == this
