"""`--write-test`: a counterexample becomes a test that fails while the spec has the hole, and then passes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from sandbox.cli.program import PROGRAM
from sandbox.errors import UsageError
from sandbox.prove.regression import assert_mended

pytestmark = pytest.mark.usefixtures("forked")

SPEC = """\
sandbox: 1
name: pay
state: {spent: {type: decimal, scale: 2, initial: 0}}
tools:
  pay:
    args: {n: {type: decimal, scale: 2, min: 0, max: 100}, to: {type: string, max_size: 200}}
    rules: [{id: all, allow: args.n <= 100.00}]
    then: {spent: state.spent + args.n}
"""
PROPERTIES = """\
proves: ../specs/pay.yaml
properties:
  - {id: odd.name, never: "tool == 'pay' && args.to.matches('^[a-z]{40}$')"}
  - {id: cap, always: state.spent <= 150.00}
  - {id: fine, never: "tool == 'pay' && args.n > 100.00"}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("specs", "proofs", "tests"):
        (tmp_path / name).mkdir()
    (tmp_path / "specs" / "pay.yaml").write_text(SPEC)
    (tmp_path / "proofs" / "pay.yaml").write_text(PROPERTIES, encoding="utf-8")
    return tmp_path


def ran(test: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(test.parent), str(test)]
    return subprocess.run(command, cwd=test.parent, capture_output=True, text=True, check=False)


def test_a_written_test_fails_until_the_spec_is_mended(project: Path) -> None:
    written = project / "tests" / "test_holes.py"
    proved = CliRunner().invoke(PROGRAM, ["prove", str(project / "proofs"), "--write-test", str(written)])
    assert proved.exit_code == 1
    source = written.read_text(encoding="ascii")
    assert str(project) not in source
    assert source.count("def test_") == 2
    failed = ran(written)
    assert failed.returncode == 1, failed.stdout
    assert "`cap` of `pay` is still violated:" in failed.stdout
    assert "2 failed" in failed.stdout
    mended = SPEC.replace("args.n <= 100.00", "state.spent + args.n <= 150.00 && size(args.to) < 10")
    (project / "specs" / "pay.yaml").write_text(mended)
    assert "2 passed" in ran(written).stdout


def test_a_test_of_a_property_that_is_gone_says_so(project: Path) -> None:
    with pytest.raises(UsageError, match="has no property `gone` of `pay`"):
        assert_mended(project / "proofs" / "pay.yaml", spec="pay", property_id="gone", sequence={})


def test_where_nothing_is_refuted_the_file_has_no_test(project: Path) -> None:
    (project / "proofs" / "pay.yaml").write_text(
        "proves: ../specs/pay.yaml\nproperties:\n  - {id: fine, never: \"tool == 'pay' && args.n > 100.00\"}\n"
    )
    written = project / "tests" / "test_holes.py"
    proved = CliRunner().invoke(PROGRAM, ["prove", str(project / "proofs"), "--write-test", str(written)])
    assert (proved.exit_code, written.read_text().count("def test_")) == (0, 0)
