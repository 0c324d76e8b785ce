"""What an MCP server is granted besides tools: resources and prompts, each judged as a call of a tool of the spec."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sandbox.ir import (
    ArgType,
    Argument,
    DecimalType,
    DurationType,
    EmailType,
    EnumType,
    GrantedPrompt,
    PathType,
    RunServer,
    ShellType,
    StringType,
    TextType,
    TimestampType,
    Tool,
    UrlType,
)
from sandbox.lang.source import shown
from sandbox.lang.suggest import near_miss
from sandbox.spec.model import ServerSpec
from sandbox.uris import MAX_URI, is_one_reading

URI = "uri"
"""The one argument of the tool that judges what is read."""

Note = Callable[..., None]


def compile_served(spec: ServerSpec, tools: Sequence[Tool], note: Note) -> RunServer:
    """The grants of the server; what is wrong with them is noted at `content`, `resources` or `prompts`."""
    for at, kind in enumerate(spec.content):
        if kind in spec.content[:at]:
            note(f"{shown(kind)} stands here already; keep one of them", "content", at)
    known = {tool.name: tool for tool in tools}
    if spec.resources is not None:
        _check_resources(spec.resources, known, note)
    for tool, prompt in spec.prompts.items():
        _check_prompt(spec, tool, prompt, known, note)
    prompts = tuple(GrantedPrompt(tool, prompt) for tool, prompt in spec.prompts.items())
    return RunServer(tuple(spec.content), spec.resources or "", prompts)


def _check_resources(name: str, known: Mapping[str, Tool], note: Note) -> None:
    problem = _not_served(name, known)
    if problem:
        note(problem, "resources")
        return
    arguments = known[name].arguments
    if [each.name for each in arguments] != [URI] or not _is_uri(arguments[0]):
        wanted = f"`{URI}`, a `string`, an `enum` or a `url`, neither optional nor with a default"
        note(f"a tool that judges what is read of resources has one argument, {wanted}", "resources")
        return
    for value in _values(arguments[0].type):
        if not is_one_reading(value):
            message = (
                f"{shown(value)} is no URI that is ever read: absolute, at most {MAX_URI:,} characters of ASCII, "
                "without dot segments"
            )
            note(message, "resources")


def _check_prompt(spec: ServerSpec, tool: str, prompt: str, known: Mapping[str, Tool], note: Note) -> None:
    problem = _not_served(tool, known)
    if problem:
        note(problem, "prompts", tool, key=True)
        return
    if tool == spec.resources:
        note(
            f"`{tool}` judges the server's resources already; a prompt has a tool of its own", "prompts", tool, key=True
        )
    if next(name for name, other in spec.prompts.items() if other == prompt) != tool:
        note(f"the prompt {shown(prompt)} stands here already; one tool judges it", "prompts", tool)
    for argument in known[tool].arguments:
        if not _is_text(argument.type):
            message = (
                f"`args.{argument.name}` of `{tool}` is given as text, as all that a prompt is given: declare a "
                "`string`, an `enum` or another type that is written as one"
            )
            note(message, "prompts", tool, key=True)


def _not_served(name: str, known: Mapping[str, Tool]) -> str:
    """Why no tool of this name can judge what the server offers, or ''."""
    if name not in known:
        return f"the spec has no tool {shown(name)}{near_miss(name, known)}"
    if known[name].run is not None:
        return f"`{name}` has a `run` of its own, and what the server offers is had from the server; take `run` out"
    return ""


def _is_uri(argument: Argument) -> bool:
    wanted = isinstance(argument.type, StringType | EnumType | UrlType)
    return wanted and not argument.optional and argument.default is None


def _values(type_: ArgType) -> tuple[str, ...]:
    return type_.values if isinstance(type_, EnumType) else ()


def _is_text(type_: ArgType) -> bool:
    """Whether a value is written as a string of JSON, in a call and canonically."""
    return isinstance(
        type_,
        StringType | TextType | EnumType | PathType | UrlType | EmailType | TimestampType | DurationType | DecimalType
        | ShellType,
    )  # fmt: skip
