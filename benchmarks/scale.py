"""Proofs of generated specs: 50 properties over 10, 100 and 1,000 rules, at ten rules a tool; from nothing.

Each property is about the tools of one effect, a fifth of all; a few are about the state, and some about one tool.
Beside the time on the wall stands that of all processors together, to which a busy neighbour adds little.
"""

from __future__ import annotations

import resource
import tempfile
import time
from pathlib import Path

from figures import Figure

from sandbox.prove.run import ProveOptions, prove_paths
from sandbox.prove.verdicts import Proved

JOBS = 2
RULES = (10, 100, 1_000)
RULES_A_TOOL = 10
FAMILIES = 5
"""Variables of the state: each tool spends from one of them."""


def figures() -> list[Figure]:
    """The time of each size, and its ratio to the next smaller one."""
    found: list[Figure] = []
    for rules in RULES:
        name = f"{rules} rules, {rules // RULES_A_TOOL} tools, 50 properties"
        spent, note = _spent(rules // RULES_A_TOOL)
        before = found[-1] if found else None
        against, ratio = (before.name, spent / before.milliseconds) if before is not None else ("", None)
        found.append(Figure("scale", name, spent, against, ratio, note))
    return found


def _spent(tools: int) -> tuple[float, str]:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "spec.yaml").write_text(spec(tools))
        (place / "proofs.yaml").write_text(properties(tools))
        began, busy = time.perf_counter(), _processors()
        report = prove_paths([place / "proofs.yaml"], ProveOptions(jobs=JOBS))
        spent, busy = (time.perf_counter() - began) * 1000, _processors() - busy
    proved = sum(isinstance(each.verdict, Proved) for each in report.properties)
    return spent, f"{proved} of {len(report.properties)} proved, {busy:.0f} s of processors"


def _processors() -> float:
    """Seconds of this process and of all its children that have ended."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def spec(tools: int) -> str:
    """Tools of one shape, each with a path, a URL and an amount, and ten rules about them."""
    state = "\n".join(f"  spent_{n}: {{type: decimal, scale: 2, initial: 0.00, window: 1d}}" for n in range(FAMILIES))
    return f"sandbox: 1\nname: scale\nstate:\n{state}\ntools:\n" + "\n".join(tool(n) for n in range(tools))


def tool(n: int) -> str:
    """One tool."""
    folder, host, spent = f"/srv/team{n}", f"api{n}.example.com", f"state.spent_{n % FAMILIES}"
    return f"""\
  tool_{n}:
    effects: [effect_{n % FAMILIES}, any]
    args:
      path: {{type: path, under: /srv}}
      url: {{type: url, schemes: [https]}}
      amount: {{type: decimal, scale: 2, min: 0.01, max: 1000.00}}
    rules:
      - {{id: repository, deny: "args.path.lowerAscii().matches(r'/\\\\.git(/|$)')"}}
      - {{id: secrets, deny: "args.path.startsWith('{folder}/secrets/') || args.path == '{folder}/secrets'"}}
      - {{id: budget, deny: "{spent} + args.amount > 5000.00"}}
      - {{id: outside, deny: "!args.path.startsWith('{folder}/')"}}
      - {{id: host, deny: "args.url.port != 443 || args.url.host != '{host}' && !args.url.host.endsWith('.{host}')"}}
      - {{id: large, ask: args.amount > 500.00}}
      - {{id: shared, ask: "args.path.startsWith('{folder}/shared/')"}}
      - {{id: public, allow: "args.path.startsWith('{folder}/public/')"}}
      - {{id: notes, allow: "args.path.startsWith('{folder}/notes/')"}}
      - {{id: small, allow: args.amount <= 5.00}}
    then: {{spent_{n % FAMILIES}: "{spent} + args.amount"}}
"""


def properties(tools: int) -> str:
    """Fifty: caps of the state, what no tool of an effect may do, what a tool must still be good for."""
    lines = [f"  - {{id: cap-{n}, always: state.spent_{n} <= 5000.00}}" for n in range(FAMILIES)]
    lines += [f"  - {{id: grows-{n}, always: state.spent_{n} >= 0.00}}" for n in range(FAMILIES)]
    for n in range(FAMILIES):
        effect = f"effect_{n % min(tools, FAMILIES)}"
        lines += [
            f"  - {{id: ports-{n}, effect: {effect}, never: args.url.port != 443}}",
            f"  - {{id: hosts-{n}, effect: {effect}, never: '!args.url.host.endsWith(\".example.com\")'}}",
            f"  - {{id: large-{n}, effect: {effect}, never: \"decision == 'allow' && args.amount > 500.00\"}}",
            f"  - {{id: inside-{n}, effect: {effect}, never: \"!args.path.startsWith('/srv/team')\"}}",
            f"  - {{id: hooks-{n}, effect: {effect}, never: \"args.path.contains('/.git/')\"}}",
            f"  - {{id: asked-{n}, effect: {effect}, possible: \"decision == 'ask' && args.amount == 700.00\"}}",
        ]
    for n in range(50 - len(lines)):
        name = f"tool_{n % tools}"
        lines.append(
            f"  - {{id: useful-{n}, tools: [{name}], possible: \"decision == 'allow' && args.amount == {n + 1}.00\"}}"
        )
    return "proves: spec.yaml\nproperties:\n" + "\n".join(lines) + "\n"
