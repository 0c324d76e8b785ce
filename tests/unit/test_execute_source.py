"""Which module runs: looked up as LANGUAGE section 1 says, read once, copied, and mounted as it was digested."""

from __future__ import annotations

import os
from pathlib import Path

import execkit
import pytest

from sandbox.errors import EnvironmentLacking, UsageError
from sandbox.execute import folders, source
from sandbox.execute.source import resolve_source, shipped_folder, snapshot
from sandbox.ir import Run, RunArgv, RunTool


def resolved(spec: Path, module: str) -> source.ToolSource:
    run = Run(RunTool(module, "f"))
    return resolve_source(execkit.contract_of(execkit.tool_of("t", run), str(spec)), run)


def put(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose folders nobody else may write."""
    root = tmp_path / "project"
    put(root / "pyproject.toml")
    put(root / "area" / "specs" / "spec.yaml")
    for folder in (root, root / "area"):
        folder.chmod(0o755)
    return root


def test_the_nearest_folder_that_has_the_module_wins(project: Path) -> None:
    spec = project / "area" / "specs" / "spec.yaml"
    put(project / "mine" / "__init__.py")
    put(project / "mine" / "t.py", "far")
    assert resolved(spec, "mine.t").origin == project / "mine"
    put(project / "area" / "mine" / "t.py", "near")
    assert resolved(spec, "mine.t").origin == project / "area" / "mine"
    put(project / "area" / "specs" / "mine.py", "a module of its own")
    assert resolved(spec, "mine").files == (("mine.py", b"a module of its own"),)


def test_nothing_above_the_project_is_looked_at(project: Path) -> None:
    put(project.parent / "mine.py")
    with pytest.raises(UsageError, match=r"no module `mine`.*put it into"):
        resolved(project / "area" / "specs" / "spec.yaml", "mine")


def test_without_a_project_only_the_spec_s_own_folder_counts(tmp_path: Path) -> None:
    spec = put(tmp_path / "specs" / "spec.yaml")
    put(tmp_path / "mine.py")
    with pytest.raises(UsageError):
        resolved(spec, "mine")
    put(tmp_path / "specs" / "mine.py")
    assert resolved(spec, "mine").origin == tmp_path / "specs" / "mine.py"


def test_a_folder_above_that_others_may_write_is_never_used(project: Path) -> None:
    put(project / "area" / "mine.py", "planted")
    (project / "area").chmod(0o777)
    with pytest.raises(UsageError):
        resolved(project / "area" / "specs" / "spec.yaml", "mine")
    (project / "area").chmod(0o755)
    resolved(project / "area" / "specs" / "spec.yaml", "mine")
    if os.geteuid() == 0:
        os.chown(project / "area", 12345, 12345)
        with pytest.raises(UsageError):
            resolved(project / "area" / "specs" / "spec.yaml", "mine")


def test_neither_the_current_directory_nor_the_import_path_counts(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "elsewhere" / "mine.py")
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.syspath_prepend(str(tmp_path / "elsewhere"))
    with pytest.raises(UsageError):
        resolved(project / "area" / "specs" / "spec.yaml", "mine")


def test_the_shipped_tools_are_found_last_and_only_under_their_name(project: Path) -> None:
    spec = project / "area" / "specs" / "spec.yaml"
    found = resolved(spec, "tools.python")
    assert found.origin == shipped_folder() / "tools"
    assert "tools/beneath.py" in dict(found.files)
    put(project / "tools" / "python.py", "mine")
    assert resolved(spec, "tools.python").origin == project / "tools"
    with pytest.raises(UsageError):
        resolved(spec, "tests.execkit")


@pytest.mark.parametrize("module", ["sandbox.gate", "..x", "a..b", "a/b", "", "a b", "../tools.python"])
def test_a_name_that_is_no_tool_s_module_is_refused(project: Path, module: str) -> None:
    with pytest.raises(UsageError, match="no module that a tool can live in"):
        resolved(project / "area" / "specs" / "spec.yaml", module)


def test_the_digest_is_of_names_and_contents_and_of_nothing_else(project: Path) -> None:
    spec = project / "area" / "specs" / "spec.yaml"
    put(project / "mine" / "t.py", "ab")
    first = resolved(spec, "mine.t").digest
    put(project / "mine" / "__pycache__" / "t.cpython-311.pyc", "x")
    os.utime(project / "mine" / "t.py", (1, 1))
    assert resolved(spec, "mine.t").digest == first
    put(project / "mine" / "t.py", "a")
    put(project / "mine" / "u.py", "b")
    second = resolved(spec, "mine.t").digest
    put(project / "mine" / "t.py", "ab")
    put(project / "mine" / "u.py", "")
    assert len({first, second, resolved(spec, "mine.t").digest}) == 3


def test_links_and_specials_in_a_package_are_refused(project: Path) -> None:
    spec = project / "area" / "specs" / "spec.yaml"
    put(project / "mine" / "t.py")
    for make in (
        lambda path: path.symlink_to("/etc/passwd"),
        lambda path: path.symlink_to("/etc"),
        os.mkfifo,
    ):
        make(project / "mine" / "odd")
        with pytest.raises(UsageError, match="link or no regular file"):
            resolved(spec, "mine.t")
        (project / "mine" / "odd").unlink()
    (project / "single.py").symlink_to(project / "mine" / "t.py")
    with pytest.raises(UsageError, match="is a link"):
        resolved(spec, "single")
    (project / "linked").symlink_to(project / "mine")
    with pytest.raises(UsageError, match=r"cannot be read|is a link"):
        resolved(spec, "linked.t")


def test_a_package_that_is_too_large_is_refused(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(project / "mine" / "t.py", "x" * 100)
    monkeypatch.setattr(source, "BYTES_LIMIT", 10)
    with pytest.raises(UsageError, match="more than"):
        resolved(project / "area" / "specs" / "spec.yaml", "mine.t")


def test_a_program_by_words_mounts_no_module() -> None:
    run = Run(RunArgv(("x",)))
    found = resolve_source(execkit.contract_of(execkit.tool_of("t", run)), run)
    assert (found.origin, found.files) == (None, ())


@pytest.fixture
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "private"
    monkeypatch.setattr(folders, "_root", lambda: root)
    return root


def test_a_snapshot_holds_the_digested_bytes_whatever_happens_to_the_module(project: Path, private: Path) -> None:
    put(project / "mine" / "t.py", "judged")
    found = resolved(project / "area" / "specs" / "spec.yaml", "mine.t")
    put(project / "mine" / "t.py", "swapped after the permit")
    folder = snapshot(found)
    assert (folder / "source" / "mine" / "t.py").read_text() == "judged"
    for program in source.GUEST:
        assert (folder / program.name).read_bytes() == program.read_bytes()
    assert private.stat().st_mode & 0o777 == 0o700
    assert (folder / "source" / "mine" / "t.py").stat().st_mode & 0o222 == 0
    assert snapshot(found) == folder


def test_a_snapshot_that_was_changed_is_never_used(project: Path, private: Path) -> None:
    put(project / "mine" / "t.py", "judged")
    found = resolved(project / "area" / "specs" / "spec.yaml", "mine.t")
    planted = snapshot(found) / "source" / "mine" / "t.py"
    planted.chmod(0o644)
    planted.write_text("planted")
    with pytest.raises(UsageError, match="was changed"):
        snapshot(found)
    assert private.exists()


def test_a_snapshot_that_another_process_made_first_is_used(
    project: Path, private: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(project / "mine" / "t.py", "judged")
    found = resolved(project / "area" / "specs" / "spec.yaml", "mine.t")
    folder = snapshot(found)
    monkeypatch.setattr(Path, "exists", lambda _path: False)
    assert snapshot(found) == folder
    assert list((private / "partial").iterdir()) == []


def test_a_private_folder_that_is_someone_else_s_is_refused(private: Path) -> None:
    private.mkdir(mode=0o777)
    private.chmod(0o777)
    with pytest.raises(EnvironmentLacking, match="chmod 700"):
        folders.private_folder("x")
    private.rmdir()
    private.symlink_to("/tmp")
    with pytest.raises(EnvironmentLacking, match="not a folder of this user alone"):
        folders.private_folder("x")
    private.unlink()
    private.write_text("x")
    with pytest.raises(EnvironmentLacking):
        folders.private_folder("x")
