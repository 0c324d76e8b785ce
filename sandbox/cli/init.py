"""`sandbox init`: a first spec from what a tool says of itself, which denies everything, and a property file."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import click

from sandbox.cli.output import json_option, print_document, show
from sandbox.errors import UsageError
from sandbox.ir import Contract, GrantedPrompt, Json, Run, RunServer, Workspace
from sandbox.mcp.pins import Listing
from sandbox.mcp.session import ServerSession
from sandbox.proposal.fitting import fitted
from sandbox.proposal.from_openapi import tools_of_openapi
from sandbox.proposal.from_python import tool_of_function
from sandbox.proposal.from_schema import tool_of_schema
from sandbox.proposal.offered import offered_lines
from sandbox.proposal.shapes import Bare, ProposedTool, Shape
from sandbox.proposal.writing import properties_text, spec_text, told_apart
from sandbox.strict_json import Tree, member

SPECS: Final = "specs"
PROOFS: Final = "proofs"
SERVER_MEMORY: Final = 512 * 1024**2
"""For a server that is only asked for its tools: an interpreter with a framework needs more than a tool."""

_NOT_A_NAME: Final = re.compile(r"[^A-Za-z0-9]+")


@click.command(
    name="init",
    epilog="Example: sandbox init --python tools.payments:send_money --name payments --out specs/payments.yaml",
)
@click.option("--mcp", "command_line", metavar="COMMAND", help="The command of an MCP server; it runs in a container.")
@click.option(
    "--python", "functions", metavar="MODULE:FUNC", multiple=True, help="A function; its module is not imported."
)
@click.option("--openapi", metavar="FILE", help="An OpenAPI 3 file, JSON or YAML.")
@click.option("--name", help="The spec's name; by default the name of what it is made from.")
@click.option("--out", metavar="FILE", help="Where the spec goes; by default specs/NAME.yaml, or NAME.yaml.")
@click.option("--image", help="Of --mcp: the image that has the server's program.")
@click.option("--workspace", metavar="FOLDER", help="Of --mcp: a folder that the server sees as /workspace.")
@json_option
def command(
    *,
    command_line: str | None,
    functions: tuple[str, ...],
    openapi: str | None,
    name: str | None,
    out: str | None,
    image: str | None,
    workspace: str | None,
    as_json: bool,
) -> int:
    """Write a first spec from what a tool says of itself. It denies everything, and proposes a rule for each argument.

    A property file comes with it, which `sandbox prove` proves. No file is overwritten.
    """
    given = [each for each in (command_line, functions, openapi) if each]
    if len(given) != 1 or (command_line is None and (image or workspace)):
        message = "give one of --mcp, --python, --openapi; --image and --workspace belong to --mcp"
        raise UsageError(message)
    title = _name(name, command_line or openapi or functions[0])
    place = _place(out, title)
    server: Mapping[str, Shape] | None = None
    offered: tuple[str, ...] = ()
    if command_line is not None:
        words = shlex.split(command_line)
        server = _server(image, workspace, place)
        listed = _listed(words, image, workspace)
        origin, tools = f"the MCP server `{command_line}`", _of_server(listed)
        offered = _offered(listed)
    elif openapi is not None:
        origin, tools = f"the OpenAPI file `{openapi}`", list(tools_of_openapi(Path(openapi)))
    else:
        origin = f"the type hints of `{', '.join(functions)}`"
        tools = [tool_of_function(target, Path.cwd()) for target in functions]
    tools = fitted(tools)
    properties = _properties_place(place)
    texts = {
        place: spec_text(title, origin, tools, server, offered),
        properties: properties_text(os.path.relpath(place, properties.parent), tools),
    }
    for path, text in texts.items():
        _write(path, text)
    _tell(texts, tools, as_json=as_json)
    return 0


# --- where it goes -----------------------------------------------------------------------------------


def _name(given: str | None, made_from: str) -> str:
    """The name that was given, else that of the module, the file, or the last word of the command."""
    word = Path(made_from.rsplit(maxsplit=1)[-1].partition(":")[0]).name
    text = given or word.removesuffix(".yaml").removesuffix(".json").rpartition(".")[2]
    name = _NOT_A_NAME.sub("-", text).strip("-").lower()
    if given is not None and name != given.lower():
        message = f"`{given}` is no name of a spec; letters, digits and `-`"
        raise UsageError(message)
    return name or "tools"


def _place(out: str | None, name: str) -> Path:
    if out is not None:
        return Path(out)
    return Path(SPECS, f"{name}.yaml") if Path(SPECS).is_dir() else Path(f"{name}.yaml")


def _properties_place(spec: Path) -> Path:
    proofs = spec.parent.parent / PROOFS if spec.parent.name == SPECS else None
    return proofs / spec.name if proofs is not None and proofs.is_dir() else spec.with_suffix(".proofs.yaml")


def _write(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        message = f"`{path}` is there already; name another with --out"
        raise UsageError(message) from error
    except OSError as error:
        message = f"`{path}` cannot be written: {error.strerror}"
        raise UsageError(message) from error


def _tell(texts: Mapping[Path, str], tools: Sequence[ProposedTool], *, as_json: bool) -> None:
    kept, lost = ([tool.name for tool in part] for part in told_apart(tools))
    spec, properties = (str(path) for path in texts)
    if as_json:
        named: dict[str, Json] = {"tools": [*kept], "left_out": [*lost]}
        print_document({"spec": spec, "properties": properties, **named})
        return
    counted = f"{len(kept)} tool{'' if len(kept) == 1 else 's'}"
    click.echo(f"wrote {show(spec)} ({counted}, all denied) and {show(properties)}")
    for name in lost:
        click.echo(f"  left out: {show(name[:100])}")


# --- an MCP server -----------------------------------------------------------------------------------


def _server(image: str | None, workspace: str | None, spec: Path) -> dict[str, Shape]:
    server: dict[str, Shape] = {"memory": Bare("512MiB")}
    if image is not None:
        server["image"] = image
    if workspace is not None:
        server["workspace"] = {"source": os.path.relpath(workspace, spec.parent), "mode": Bare("ro")}
    return server


def _listed(words: list[str], image: str | None, workspace: str | None) -> Listing:
    """What the server lists, from a container without any grant but, read-only, the folder that was named."""
    seen = None if workspace is None else Workspace(os.path.abspath(workspace), "ro")  # noqa: PTH100  # links are not followed
    everything = RunServer(resources="any", prompts=(GrantedPrompt("any", "any"),))  # so that all of it is listed
    grants = Run(everything, image=image, workspace=seen, memory=SERVER_MEMORY, pids=128)
    session = ServerSession(Contract("init", (), server=grants, file=os.path.abspath("init.yaml")), words, None)  # noqa: PTH100  # as above
    try:
        return session.listed()
    finally:
        session.close()


def _of_server(listed: Listing) -> list[ProposedTool]:
    return [
        tool_of_schema(name, _text(each.whole.get("description")), each.whole.get("inputSchema", {}))
        for name, each in sorted(listed.tools.items())
    ]


def _offered(listed: Listing) -> tuple[str, ...]:
    """What may be granted besides tools, in comments."""
    prompts = {name: _arguments(each.whole.get("arguments")) for name, each in sorted(listed.prompts.items())}
    return offered_lines(prompts, sorted(listed.resources))


def _arguments(tree: Tree) -> list[str]:
    given = tree if isinstance(tree, list) else []
    return [name for each in given if (name := _text(member(each, "name")))]


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
