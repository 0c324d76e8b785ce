"""`sandbox doctor`: what this machine has and lacks, and what to do about it."""

from __future__ import annotations

import platform
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sandbox.cli.output import json_option, print_document, show
from sandbox.errors import EnvironmentLacking, SandboxError, SandboxFailure
from sandbox.execute.benchmark import NAME as BENCHMARK
from sandbox.execute.confinement import Kernel
from sandbox.execute.diagnosis import Finding, diagnose
from sandbox.execute.engine import Engine
from sandbox.execute.examination import examine_container
from sandbox.execute.image import default_tag, find_image
from sandbox.execute.podman import connect
from sandbox.ir import Json

if TYPE_CHECKING:
    from sandbox.prove.standing import Standing


@click.command(name="doctor", epilog="Example: sandbox doctor proofs --json")
@click.argument("paths", metavar="[PATH...]", nargs=-1)
@click.option("--cis", is_flag=True, help="Judge a live container by the CIS Docker Benchmark, section 5, instead.")
@click.option("--container", metavar="NAME", help="With --cis: this running container, and none made for it.")
@json_option
def command(paths: tuple[str, ...], *, cis: bool, container: str | None, as_json: bool) -> int:
    """What this machine has and lacks for running calls in containers, and how proofs stand by their ledger.

    PATH is a property file or a folder of them; without one, `proofs/` is looked at if it is there. Exit code: 1 if the
    proofs of a PATH are not all there and current, else 4 if something is missing, else 0. With --cis: 1 if a
    recommendation fails, or is not proved of every configuration that can be compiled.
    """
    if cis or container:
        return _benchmark(container, as_json=as_json)
    proofs = tuple(each for path in paths or _default() for each in proof_findings(path, found=not paths))
    findings = (*examine(), *proofs)
    if as_json:
        print_document({"findings": [_document(finding) for finding in findings]})
    else:
        for finding in findings:
            click.echo(f"{_level(finding):8} {finding.name}: {show(finding.found)}")
            if finding.remedy:
                click.echo(f"{'':8} {show(finding.remedy)}")
    if paths and any(finding.ok is not True for finding in proofs):
        return 1
    return 4 if any(finding.ok is False for finding in findings) else 0


def examine() -> tuple[Finding, ...]:
    """Everything, in the order in which it would be needed."""
    kernel = Finding("kernel", None, platform.release())
    try:
        engine = connect()
    except EnvironmentLacking as error:
        return (kernel, Finding("engine", ok=False, found="none that can be used", remedy=str(error)), _builder())
    try:
        return (kernel, *_engine_findings(engine), _image(engine), _builder())
    except SandboxFailure as failure:
        return (
            kernel,
            Finding("engine", ok=False, found="does not tell about itself", remedy=str(failure)),
            _builder(),
        )
    finally:
        engine.close()


def proof_findings(path: str, *, found: bool = False) -> tuple[Finding, ...]:
    """One finding for each spec that the property files are about, by their ledger; nothing is proved.

    What does not load raises, unless the path was only `found`.
    """
    from sandbox.prove.standing import survey  # noqa: PLC0415 - the parsers load only where there are proofs

    try:
        return tuple(_proofs(path, each) for each in survey(Path(path)))
    except SandboxError as error:
        if not found:
            raise
        return (Finding("proofs", None, f"`{path}` does not load", str(error).partition("\n")[0]),)


def _proofs(path: str, found: Standing) -> Finding:
    status, flaws = found.proofs.status, found.flaws
    if status == "current":
        return Finding(f"proofs of {found.spec}", ok=True, found="current")
    more = f", and {len(flaws) - 1} more" if len(flaws) > 1 else ""
    words = f"{status}: {flaws[0].words}{more}" if flaws else "no property"
    return Finding(f"proofs of {found.spec}", None, words, f"review, then `sandbox prove {path} --update`")


def _default() -> tuple[str, ...]:
    return ("proofs",) if Path("proofs").is_dir() else ()


def _level(finding: Finding) -> str:
    match finding.ok:
        case True:
            return "ok"
        case False:
            return "missing"
        case None:
            return "risk" if finding.risk else "note"


def _engine_findings(engine: Engine) -> tuple[Finding, ...]:
    found = Finding("engine", ok=True, found=engine.version)
    return (found, *diagnose(*engine.account(), Kernel.this()))


def _benchmark(container: str | None, *, as_json: bool) -> int:
    from sandbox.prove.configurations import prove_configurations  # noqa: PLC0415 - the solver loads only here

    engine = connect()
    try:
        name, judged = examine_container(engine, container)
    finally:
        engine.close()
    proved = prove_configurations()
    open_ = [each for each in proved if not each.proved]
    if as_json:
        items: list[Json] = [{"title": each.title, "verdict": each.verdict, "why": each.why} for each in judged]
        unproved: list[Json] = [f"{each.title} ({each.shape.words()}): {each.counterexample}" for each in open_]
        proof: Json = {"questions": len(proved), "proved": len(proved) - len(open_), "unproved": unproved}
        print_document({"benchmark": BENCHMARK, "container": name, "items": items, "every_configuration": proof})
    else:
        click.echo(f"{BENCHMARK}, container {show(name)}")
        for each in judged:
            click.echo(f"{each.verdict:15} {each.title}{f' ({each.why})' if each.why else ''}")
        click.echo(f"proved of every configuration that can be compiled: {len(proved) - len(open_)} of {len(proved)}")
        for left in open_:
            click.echo(f"{'not proved':15} {left.title} ({left.shape.words()}): {show(left.counterexample)}")
    return 1 if open_ or any(each.verdict == "fails" for each in judged) else 0


def _image(engine: Engine) -> Finding:
    try:
        return Finding("image", ok=True, found=f"{default_tag()} {find_image(engine, None)}")
    except SandboxError as error:
        return Finding("image", ok=False, found=f"{default_tag()} is not there", remedy=str(error))


def _builder() -> Finding:
    program = shutil.which("mmdebstrap")
    remedy = "" if program else "`apt-get install mmdebstrap`, to build the default image"
    return Finding("mmdebstrap", None, program or "not found", remedy)


def _document(finding: Finding) -> Json:
    level: dict[str, Json] = {"ok": finding.ok, "level": _level(finding)}
    return {"name": finding.name, **level, "found": finding.found, "remedy": finding.remedy}
