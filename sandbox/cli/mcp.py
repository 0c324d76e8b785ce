"""`sandbox mcp`: an MCP server in front of an MCP server, which runs in a container; and `sandbox mcp pin`."""

from __future__ import annotations

import contextlib
import secrets
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Literal, TypeVar

import click

from sandbox.approve import Approver, TerminalApprover
from sandbox.cli.output import json_option, print_document, show, state_option
from sandbox.cli.session import session_option
from sandbox.compile import load_contract, load_policy
from sandbox.errors import UsageError
from sandbox.gate import Gate
from sandbox.ir import Json
from sandbox.mcp.http import HttpServer
from sandbox.mcp.pins import LIST_KINDS, Definition, Listing, Pins, check_command, pin_file, read_pins, write_pins
from sandbox.mcp.session import ServerSession
from sandbox.mcp.sessions import CurrentServer, Facts, Sessions, StartServer
from sandbox.mcp.stdio import StdioServer, read_descriptor, write_descriptor
from sandbox.mcp.token import read_token
from sandbox.policy import Policy
from sandbox.session import Session, read_session

F = TypeVar("F", bound=Callable[..., object])

_SERVE = "serve"


class ServesByDefault(click.Group):
    """`sandbox mcp pin ...` is a command of its own; anything else is the gateway itself."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """The words, with the name of the default command in front where no command is named."""
        named = bool(args) and (args[0] in self.commands or args[0] in ctx.help_option_names)
        return super().parse_args(ctx, args if named or not args else [_SERVE, *args])

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """As the gateway itself is called."""
        return self.commands[_SERVE].collect_usage_pieces(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The gateway's own options, then the other commands."""
        self.commands[_SERVE].format_options(ctx, formatter)
        self.format_commands(ctx, formatter)


def _server_options(command: F) -> F:
    spec = click.option("--spec", required=True, metavar="SPEC", help="The spec that judges the calls.")
    words = click.argument("words", metavar="[-- COMMAND...]", nargs=-1, type=click.UNPROCESSED)
    return spec(words(command))


@click.group(
    name="mcp",
    cls=ServesByDefault,
    epilog="Example: sandbox mcp --spec specs/files.yaml -- node server.js /workspace",
)
def command() -> None:
    """An MCP server in front of an MCP server: `sandbox mcp --spec SPEC -- COMMAND...` serves a client on stdin.

    COMMAND is the real server: it runs in a container with the grants of the spec's `server:`, for this session only.
    Tools are those of the spec; each call goes the whole way through the gate. Without COMMAND only tools with a `run`
    of their own are served. What the real server says of its tools has to be reviewed first: `sandbox mcp pin`.
    """


@command.command(name=_SERVE, hidden=True)
@_server_options
@click.option("--approve-on", metavar="TTY", help="The terminal of a person who answers what is asked.")
@click.option("--http", "port", type=click.IntRange(0, 65_535), metavar="PORT", help="Serve HTTP on this machine.")
@click.option("--token-file", metavar="FILE", help="The token that HTTP clients need; made if there is none.")
@session_option
@state_option
def serve(
    spec: str,
    *,
    words: tuple[str, ...],
    approve_on: str | None,
    port: int | None,
    token_file: str | None,
    session: dict[str, object],
    state: str | None,
) -> int:
    """Serve one client on standard input and output, or several on local HTTP."""
    policy = load_policy(spec)
    start, facts = _starter(policy, spec, words), session_facts(policy, session)
    if port is None and token_file is not None:
        message = "`--token-file` belongs to `--http`"
        raise UsageError(message)
    token = read_token(token_file) if port is not None else ""
    forward = CurrentServer()
    served = forward if words else None
    first = start() if port is None else None
    with (
        contextlib.ExitStack() as stack,
        _terminal(approve_on) as approvers,
    ):
        if first is not None:
            stack.callback(first.close)
            first.warm()  # while the gate opens
        gate = stack.enter_context(Gate.open(spec, state=state, server=served, approver=approvers))
        sessions = Sessions(gate, forward, start, facts, people=approve_on is not None)
        if port is None:
            _serve_stdio(sessions, first)
        else:
            _serve_http(HttpServer(sessions, token, port), token if token_file is None else "")
    return 0


def _serve_stdio(sessions: Sessions, server: ServerSession | None) -> None:
    with sessions.only(server) as (answer, abort):
        front = StdioServer(answer, read_descriptor(0), write_descriptor(1))
        with _ended_by_signals(front.stop, abort):
            front.serve()


def _serve_http(server: HttpServer, token: str) -> None:
    said = f"; token {token}" if token else ""
    click.echo(f"listening on {server.url}{said}", err=True)
    try:
        with _ended_by_signals(lambda: None, server.sessions.abort):
            server.serve_forever()
    finally:
        server.server_close()
        server.sessions.close()


@command.command(name="pin", epilog="Example: sandbox mcp pin --spec specs/files.yaml -- node server.js /workspace")
@_server_options
@click.option("--check", is_flag=True, help="Compare only; exit 1 where the server differs from its pins.")
@json_option
def pin(spec: str, *, words: tuple[str, ...], check: bool, as_json: bool) -> int:
    """Write down what the real server says of its tools, for review, in a file beside the spec.

    The gateway refuses every tool that the server describes in another way. Read the difference before you commit it.
    Where the spec grants prompts or resources, they are written down too.
    """
    if not words:
        message = "name the real server behind `--`, as in `sandbox mcp pin --spec SPEC -- COMMAND`"
        raise UsageError(message)
    place = pin_file(Path(spec))
    session = ServerSession(load_contract(spec), words, None)
    try:
        listed, name = session.listed(), session.server_name()
    finally:
        session.close()
    before = _earlier(place)
    changes = _changes(before.listing if before is not None else Listing({}), listed)
    if not check:
        write_pins(place, Pins(words, name, listed))
    if as_json:
        told: list[Json] = [{"change": each.change, each.what: each.name} for each in changes]
        names: dict[str, Json] = {kind: [*sorted(listed.of(kind))] for kind in LIST_KINDS}
        print_document({"file": str(place), "server": name, **names, "changes": told})
    else:
        _print(place, name, changes, listed, written=not check)
    return 1 if check and (changes or before is None or before.command != words) else 0


# --- private -----------------------------------------------------------------------------------------


def _starter(policy: Policy, spec: str, words: tuple[str, ...]) -> StartServer:
    """What makes a session of the real server, as it was reviewed; of none where no tool of the spec needs one."""
    if words:
        place = pin_file(Path(spec))
        pins = read_pins(place)
        check_command(pins, words, place)
        ServerSession(policy.first, words, pins).close()  # refuses what cannot be, before there is a client
        return lambda: ServerSession(policy.first, words, pins)
    if not any(tool.run is not None for tool in policy.tools):
        message = f"no tool of `{spec}` has a `run`: name the real server behind `--`"
        raise UsageError(message)
    return lambda: None


def session_facts(policy: Policy, given: Mapping[str, object]) -> Facts:
    """What is said of each client: what the host gave, and an `id` that is new for each session unless it gave one.

    Raises UsageError for facts that are wrong or missing, for which every call would be denied.
    """

    def facts(*, alone: bool) -> Session:
        return dict(given) if alone else {"id": secrets.token_hex(16), **given}

    known = read_session(policy, facts(alone=False))
    missing = [fact.name for fact in policy.session if fact.name not in known]
    if missing:
        message = f"the spec declares the session fact `{missing[0]}`; give it by `--session`"
        raise UsageError(message, "session.missing")
    return facts


@contextlib.contextmanager
def _terminal(path: str | None) -> Iterator[tuple[Approver, ...]]:
    """Whoever sits at the named terminal; the client's own streams are the client's, and no person's."""
    if path is None:
        yield ()
        return
    try:
        with open(path, encoding="utf-8") as reading, open(path, "w", encoding="utf-8") as writing:  # noqa: PTH123  # a device
            if not (reading.isatty() and writing.isatty()):
                message = f"`{path}` is no terminal; `tty` in the terminal of whoever approves prints its name"
                raise UsageError(message)
            yield (TerminalApprover(reading, writing),)
    except OSError as error:
        message = f"`{path}` cannot be opened: {error.strerror}"
        raise UsageError(message) from error


@contextlib.contextmanager
def _ended_by_signals(stop_reading: Callable[[], None], abort: Callable[[], None]) -> Iterator[None]:
    """A signal to end ends the session at once: the container goes before this process, with the call that it is in."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        stop_reading()
        threading.Thread(target=abort, daemon=True).start()  # the engine is not asked within a signal
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _earlier(place: Path) -> Pins | None:
    try:
        return read_pins(place)
    except UsageError as error:
        if error.reason_code != "mcp.unpinned":
            click.echo(show(str(error)), err=True)
        return None


@dataclass(frozen=True, slots=True)
class _Change:
    """What differs from the pins: `what` is a tool, a prompt, a resource, or a template of URIs."""

    change: Literal["added", "removed", "changed"]
    what: str
    name: str
    text: str


def _changes(old: Listing, new: Listing) -> list[_Change]:
    return [each for kind in LIST_KINDS for each in _of_kind(kind.removesuffix("s"), old.of(kind), new.of(kind))]


def _of_kind(what: str, old: Mapping[str, Definition], new: Mapping[str, Definition]) -> Iterator[_Change]:
    for name in sorted(old.keys() | new.keys()):
        said = new[name].whole.get("description") if name in new else ""
        text = " ".join(str(said or "").split())[:200]
        if name not in old:
            yield _Change("added", what, name, text)
        elif name not in new:
            yield _Change("removed", what, name, text)
        elif old[name].digest != new[name].digest:
            yield _Change("changed", what, name, text)


def _print(place: Path, server: str, changes: list[_Change], listed: Listing, *, written: bool) -> None:
    counts = [f"{len(listed.of(kind))} {kind}" for kind in LIST_KINDS if kind == "tools" or listed.of(kind)]
    click.echo(f"{show(server)}: {', '.join(counts)}")
    for each in changes:
        what = "" if each.what == "tool" else f"{each.what} "
        click.echo(f"  {each.change:8} {what}{show(each.name)}: {show(each.text)}")
    if not changes:
        click.echo("  nothing has changed")
    click.echo(f"{'wrote' if written else 'compared with'} {show(str(place))}", err=True)
