"""The command group: which commands there are, and how each ends. The exit codes stand in `sandbox.errors`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final, NoReturn, cast

import click

from sandbox.cli.output import print_error, show
from sandbox.errors import SandboxError

EXIT_USAGE: Final = 2
EXIT_FAULT: Final = 5
EXIT_INTERRUPTED: Final = 130

COMMANDS: Final = {
    "audit": "the record of what was decided and done",
    "check": "parse, type-check and lint specs",
    "decide": "judge raw calls without running anything",
    "diff": "what a new version of a spec allows, asks and denies anew",
    "doctor": "what this machine has and lacks",
    "explain": "why a call is denied, and the nearest that is not",
    "image": "the default container image",
    "init": "a first spec from what a tool says of itself",
    "mcp": "an MCP server in front of an MCP server",
    "mutate": "weaken every rule in turn, and see which property notices",
    "prove": "prove the property files",
    "resume": "turn the kill switch off",
    "run": "take one call the whole way",
    "schema": "JSON Schema of specs and property files, for editors",
    "stop": "the kill switch: kill what runs, and run nothing more",
    "test": "search for an output by which the gate does what its rules do not say",
    "top": "running calls and containers, live",
    "verify-certificate": "check a certificate against its spec",
    "version": "versions of everything that is trusted",
}


class Program(click.Group):
    """A group that imports a command when it is asked for, and turns every ending into an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command, in order of its name."""
        _ = ctx
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of exactly this name."""
        _ = ctx
        if cmd_name not in COMMANDS:
            return None
        return cast("click.Command", import_module(f"sandbox.cli.{cmd_name.replace('-', '_')}").command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One line a command, without importing any."""
        _ = ctx
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; a reader that went away (`| head`) is an interruption, without a word."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return EXIT_INTERRUPTED

    def main(  # type: ignore[override]  # click's own `main` has the standalone mode that this replaces
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: object
    ) -> NoReturn:
        """Run, and exit with the code of INTERFACE: what went wrong is one line on stderr."""
        _ = extra
        words = list(sys.argv[1:] if args is None else args)
        sys.exit(self._end(words, prog_name, as_json="--json" in words))

    def _end(self, words: list[str], prog_name: str | None, *, as_json: bool) -> int:
        try:
            code: object = super().main(args=words, prog_name=prog_name, standalone_mode=False)
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.ctx.get_help() if error.ctx else "", err=True)
            return EXIT_USAGE
        except click.ClickException as error:
            print_error(show(error.format_message()), "usage", as_json=as_json)
            return EXIT_USAGE
        except SandboxError as error:
            print_error(str(error), error.reason_code, as_json=as_json)
            return error.exit_code
        except (KeyboardInterrupt, click.Abort):
            click.echo("interrupted", err=True)
            return EXIT_INTERRUPTED
        except Exception as error:
            if os.environ.get("SANDBOX_DEBUG"):
                raise
            print_error(
                f"internal error: {type(error).__name__}: {show(str(error))}", "fault.internal", as_json=as_json
            )
            return EXIT_FAULT
        return code if isinstance(code, int) else 0


PROGRAM: Final = Program(
    name="sandbox",
    help="A formally verified tool-calling sandbox for AI agents.\n\nExample: sandbox check specs/payments.yaml",
    context_settings={"help_option_names": ["-h", "--help"]},
)
