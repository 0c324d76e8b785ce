"""A workspace keeps clear of what decides about it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from spec_files import spec, write

from sandbox.compile import load_contract, load_properties
from sandbox.errors import PropertyError, SpecError

ROOT = Path(__file__).parents[2]
RUN = "tools: {t: {rules: [], run: {tool: TOOL, workspace: {source: SOURCE, mode: rw}}}}"


@pytest.mark.parametrize(
    ("tool", "source"),
    [("pkg.mod:f", "../pkg"), ("pkg.mod:f", "../pkg/deeper"), ("pkg.mod:f", ".."), ("lone:f", "../workspaces"),
     ("whole:f", "../whole/x"), ("pkg.mod:f", "../link"), ("pkg.mod:f", "../specs"), ("pkg.mod:f", ".sandbox/files")],
)  # fmt: skip
def test_a_workspace_keeps_clear_of_state_and_tools(tmp_path: Path, tool: str, source: str) -> None:
    project(tmp_path)
    with pytest.raises(SpecError, match="a workspace may not be, contain or lie in the folder of"):
        load_contract(write(tmp_path, spec(RUN.replace("TOOL", tool).replace("SOURCE", source)), "specs/spec.yaml"))


def test_a_workspace_does_not_hold_what_judges_it(tmp_path: Path) -> None:
    project(tmp_path)
    write(tmp_path, "proves: ../specs/spec.yaml\n", "proofs/p.yaml")
    ws = RUN.replace("TOOL", "pkg.mod:f").replace("SOURCE", "../proofs")
    with pytest.raises(SpecError, match="may not contain a spec or property file"):
        load_contract(write(tmp_path, spec("require_proofs: ../proofs/p.yaml\n" + ws), "specs/spec.yaml"))
    write(tmp_path, spec(ws), "specs/spec.yaml")
    with pytest.raises(PropertyError, match="this file lies in the workspace of `t`"):
        load_properties(tmp_path / "proofs" / "p.yaml")


@pytest.mark.parametrize("secret", ["../shared/token", "../shared/deep/../token", "../shared"])
def test_a_workspace_does_not_hold_a_secret_of_the_broker(tmp_path: Path, secret: str) -> None:
    project(tmp_path)
    grant = f"network: [{{to: a.example:443, credential: {{file: {secret}}}}}]"
    asks = f"other: {{rules: [], run: {{tool: 'pkg.mod:f', {grant}}}}}"
    text = RUN.replace("TOOL", "pkg.mod:f").replace("SOURCE", "../shared").replace("tools: {", f"tools: {{{asks}, ")
    with pytest.raises(SpecError, match="a workspace may not contain the file of a credential; choose another folder"):
        load_contract(write(tmp_path, spec(text), "specs/spec.yaml"))


def test_a_folder_beside_them_is_fine(tmp_path: Path) -> None:
    project(tmp_path)
    path = write(tmp_path, spec(RUN.replace("TOOL", "pkg.mod:f").replace("SOURCE", "../workspaces")), "specs/spec.yaml")
    assert load_contract(path).tools[0].run is not None


def project(root: Path) -> None:
    (root / "pyproject.toml").touch()
    for file in ("pkg/mod.py", "whole/__init__.py", "lone.py"):
        write(root, "", file)
    (root / "link").symlink_to(root / "pkg")


def test_shipped_tools_are_kept_too(tmp_path: Path) -> None:
    shipped = os.path.relpath(ROOT / "tools", tmp_path)
    with pytest.raises(SpecError, match="in the folder of a tool module"):
        load_contract(write(tmp_path, spec(RUN.replace("TOOL", "tools.files:read").replace("SOURCE", shipped))))


@pytest.mark.parametrize("source", ["loop", "x" * 300, "x/" * 2_000])
def test_a_strange_folder_is_no_crash(tmp_path: Path, source: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    load_contract(write(tmp_path, spec(RUN.replace("TOOL", "a.b:f").replace("SOURCE", source))))
    with pytest.raises(SpecError, match="does not exist; it is relative to this file"):
        load_contract(write(tmp_path, spec(f"require_proofs: {source}\n")))
    with pytest.raises(PropertyError, match="is no spec file"):
        load_properties(write(tmp_path, f"proves: {source}\n", "p.yaml"))
