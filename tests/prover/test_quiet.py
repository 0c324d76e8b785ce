"""What nothing reads is left out of an obligation, and what something reads is not."""

from __future__ import annotations

from pathlib import Path

import pytest
import z3

from sandbox.compile import load_properties
from sandbox.encode import domain
from sandbox.ir import Contract
from sandbox.prove.obligations import Ground, call_symbols
from sandbox.prove.quiet import constants_in, quiet
from sandbox.prove.run import prove_paths
from sandbox.prove.verdicts import name_of

pytestmark = pytest.mark.usefixtures("forked")

SPEC = """\
sandbox: 1
name: fetches
state: {bytes: {type: int, initial: 0, window: 1h}}
tools:
  fetch:
    args:
      url: {type: url, schemes: [https]}
      size: {type: int, min: 1, max: 100}
    rules:
      - {id: inner, deny: args.url.is_private}
      - {id: enough, deny: state.bytes + args.size > 1000}
      - {id: ours, allow: "args.url.host.endsWith('.example.com')"}
    then: {bytes: state.bytes + args.size}
"""


def contract(folder: Path, property_: str) -> Contract:
    (folder / "spec.yaml").write_text(SPEC)
    (folder / "proofs.yaml").write_text(f"proves: spec.yaml\nproperties:\n  - {{id: it, {property_}}}\n")
    (each,) = load_properties(folder / "proofs.yaml")
    return each.contract


@pytest.mark.parametrize(("read", "there"), [((), False), (("is_ip",), True), (("is_private",), True)])
def test_what_a_host_is_is_said_only_where_it_is_asked(tmp_path: Path, read: tuple[str, ...], there: bool) -> None:
    spec = contract(tmp_path, "never: args.size > 100")
    (tool,) = spec.tools
    env = call_symbols(Ground(spec, z3.Context()), tool)
    terms = [env.args["url"].parts[name] for name in read]  # type: ignore[union-attr]  # a URL is a record
    parts = quiet(tool, env, terms).args["url"].parts  # type: ignore[union-attr]  # a URL is a record
    assert {name in parts for name in ("is_ip", "is_private")} == {there}
    assert constants_in(terms) <= {part.get_id() for part in env.args["url"].parts.values()}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("property_", "verdict"),
    [
        pytest.param("never: args.url.is_private", "proved", id="a rule reads it"),
        pytest.param("never: args.url.is_ip", "proved", id="it follows from the host"),
        pytest.param("never: args.url.host == 'a.example.com' && args.url.is_ip", "proved", id="no name is an address"),
        pytest.param("never: '!args.url.is_ip'", "refuted", id="a name is none"),
        pytest.param("never: args.url.host.startsWith('10.')", "refuted", id="a name that begins like one"),
        pytest.param("never: state.bytes < 0", "proved", id="a window that only grows"),
        pytest.param("never: state.bytes > 1000", "proved", id="an invariant of a window"),
        pytest.param("possible: state.bytes < 0", "refuted", id="nothing leads below nothing"),
        pytest.param("possible: state.bytes == 150", "proved", id="two calls do"),
    ],
)
def test_verdicts_are_the_same_without_it(tmp_path: Path, property_: str, verdict: str) -> None:
    contract(tmp_path, property_)
    (report,) = prove_paths([tmp_path / "proofs.yaml"]).properties
    assert name_of(report.verdict) == verdict


def test_what_is_guaranteed_is_made_once_for_the_same_terms_and_is_what_it_was(tmp_path: Path) -> None:
    spec = contract(tmp_path, "never: args.size > 1000")
    ground, (fetch,) = Ground(spec, z3.Context()), spec.tools
    for suffix in ("", "@2"):
        env = call_symbols(ground, fetch, suffix)
        for seen in (env, quiet(fetch, env, ())):
            first = ground.domain(fetch, seen)
            assert ground.domain(fetch, seen) is first
            assert [part.sexpr() for part in first] == [part.sexpr() for part in domain(fetch, seen)]
    assert len(ground.guaranteed) == 4
