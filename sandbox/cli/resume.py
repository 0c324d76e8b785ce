"""`sandbox resume`: turns the kill switch off again. What it has made void stays void."""

from __future__ import annotations

import os

import click

from sandbox.audit import AuditLog
from sandbox.cli.output import json_option, print_document, state_option
from sandbox.cli.place import state_path
from sandbox.gate import wall_clock
from sandbox.state import Store


@click.command(name="resume", epilog="Example: sandbox resume --state sqlite:///var/sandbox.db")
@click.option("--reason", default="", help="Why; goes on record.")
@state_option
@json_option
def command(*, reason: str, state: str | None, as_json: bool) -> int:
    """Turn the kill switch off: calls are judged again. Permits and calls from before stay ended."""
    store = Store.existing(state_path(state))
    try:
        record = AuditLog(store.audit_path, wall_clock)
        with store.transaction() as transaction:
            was_stopped, epoch = transaction.stopped(), transaction.kill_epoch()
            if was_stopped:  # on record before it is so
                record.append("resumed", {"by": f"uid {os.getuid()}", "reason": reason, "epoch": epoch})
                transaction.resume()
        store.clear_switch()
    finally:
        store.close()
    if as_json:
        print_document({"stopped": False, "was_stopped": was_stopped, "epoch": epoch})
    else:
        click.echo("resumed" if was_stopped else "the kill switch was not on")
    return 0
