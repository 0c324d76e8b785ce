"""`sandbox doctor`: what this machine has and lacks, and what to do about it."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sandbox.cli.output import json_option, print_document, show
from sandbox.errors import EnvironmentLacking, SandboxError
from sandbox.execute.engine import Engine
from sandbox.execute.image import default_tag, find_image
from sandbox.ir import Json

if TYPE_CHECKING:
    from sandbox.prove.standing import Standing


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `ok` None: worth knowing, and nothing fails for want of it."""

    name: str
    ok: bool | None
    found: str
    remedy: str = ""


@click.command(name="doctor", epilog="Example: sandbox doctor proofs --json")
@click.argument("paths", metavar="[PATH...]", nargs=-1)
@json_option
def command(paths: tuple[str, ...], *, as_json: bool) -> int:
    """What this machine has and lacks for running calls in containers, and how proofs stand by their ledger.

    PATH is a property file or a folder of them; without one, `proofs/` is looked at if it is there. Exit code: 1 if the
    proofs of a PATH are not all there and current, else 4 if something is missing, else 0.
    """
    proofs = tuple(each for path in paths or _default() for each in proof_findings(path, found=not paths))
    findings = (*examine(), *proofs)
    if as_json:
        print_document({"findings": [_document(finding) for finding in findings]})
    else:
        for finding in findings:
            mark = {True: "ok", False: "missing", None: "note"}[finding.ok]
            click.echo(f"{mark:8} {finding.name}: {show(finding.found)}")
            if finding.remedy:
                click.echo(f"{'':8} {show(finding.remedy)}")
    if paths and any(finding.ok is not True for finding in proofs):
        return 1
    return 4 if any(finding.ok is False for finding in findings) else 0


def examine() -> tuple[Finding, ...]:
    """Everything, in the order in which it would be needed."""
    kernel = Finding("kernel", None, platform.release())
    try:
        engine = Engine.connect()
    except EnvironmentLacking as error:
        return (kernel, Finding("engine", ok=False, found="none answers", remedy=str(error)), _builder())
    try:
        return (kernel, *_engine_findings(engine), _image(engine), _builder())
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


def _engine_findings(engine: Engine) -> tuple[Finding, ...]:
    info: Mapping[str, object] = engine.client.info()
    options = _security(info)
    seccomp = "seccomp" in options
    return (
        Finding("engine", ok=True, found=engine.version),
        Finding(
            "cgroup driver", ok=True, found=f"{info.get('CgroupDriver')}, version {info.get('CgroupVersion', '1')}"
        ),
        Finding(
            "seccomp",
            ok=seccomp,
            found="on" if seccomp else "off",
            remedy="" if seccomp else "use a kernel and an engine with seccomp: no call runs without a profile",
        ),
        Finding("apparmor", None, "on" if "apparmor" in options else "off; not relied upon"),
        Finding("runtimes", None, ", ".join(sorted(_mapping(info.get("Runtimes"))))),
    )


def _image(engine: Engine) -> Finding:
    try:
        return Finding("image", ok=True, found=f"{default_tag()} {find_image(engine, None)}")
    except SandboxError as error:
        return Finding("image", ok=False, found=f"{default_tag()} is not there", remedy=str(error))


def _builder() -> Finding:
    program = shutil.which("mmdebstrap")
    remedy = "" if program else "`apt-get install mmdebstrap`, to build the default image"
    return Finding("mmdebstrap", None, program or "not found", remedy)


def _security(info: Mapping[str, object]) -> set[str]:
    listed = info.get("SecurityOptions")
    options = listed if isinstance(listed, list) else []
    return {str(option).removeprefix("name=").split(",")[0] for option in options}


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _document(finding: Finding) -> Json:
    return {"name": finding.name, "ok": finding.ok, "found": finding.found, "remedy": finding.remedy}
