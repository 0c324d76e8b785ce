"""A property over several tools may speak of an argument that only one of them has, behind `tool == ...`."""

from __future__ import annotations

import pytest

from sandbox.prove import PropertyReport, ProveOptions, prove_paths
from sandbox.prove.verdicts import name_of

pytestmark = pytest.mark.usefixtures("forked")

SPEC = """
sandbox: 1
name: two
tools:
  read:
    args: {path: {type: string, max_size: 8}}
    rules: [{id: any, allow: true}]
  write:
    args:
      path: {type: string, max_size: 8, optional: true}
      content: {type: text, max_size: 9}
      tags: {type: list, items: int, max_size: 2}
    rules: [{id: short, allow: "size(args.content) < 5 && args.tags.all(t, t > 0)"}]
"""

PROPERTIES = {
    "writing-long": ("possible", "tool == 'write' && size(args.content) > 4 && decision == 'allow'", "refuted"),
    "writing-short": ("possible", "tool == 'write' && size(args.content) == 4 && decision == 'allow'", "proved"),
    "long": ("never", "tool == 'write' && size(args.content) > 4", "proved"),
    "short": ("never", "tool == 'write' && size(args.content) <= 4", "refuted"),
    "positive": ("never", "tool == 'write' && args.tags.exists(t, t <= 0)", "proved"),
}


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, PropertyReport]:
    folder = tmp_path_factory.mktemp("two")
    (folder / "two.yaml").write_text(SPEC)
    lines = [f'  - {{id: {name}, {kind}: "{text}"}}\n' for name, (kind, text, _) in PROPERTIES.items()]
    (folder / "properties.yaml").write_text(f"proves: two.yaml\nproperties:\n{''.join(lines)}")
    report = prove_paths([folder / "properties.yaml"], ProveOptions(jobs=2))
    return {each.subject.id: each for each in report.properties}


@pytest.mark.parametrize("name", PROPERTIES)
def test_it_is_decided_as_if_the_others_had_it_too(name: str, reports: dict[str, PropertyReport]) -> None:
    assert name_of(reports[name].verdict) == PROPERTIES[name][2], reports[name].verdict
