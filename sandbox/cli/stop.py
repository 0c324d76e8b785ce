"""`sandbox stop`: the kill switch. Everything that runs on this state is killed, and nothing runs until `resume`."""

from __future__ import annotations

import os
import time
from typing import Final

import click

from sandbox.audit import AuditLog
from sandbox.cli.output import json_option, print_document, show, state_option
from sandbox.cli.place import state_path
from sandbox.errors import EnvironmentLacking, Fault, SandboxError
from sandbox.execute.forcing import kill_containers
from sandbox.execute.podman import connect
from sandbox.gate import wall_clock
from sandbox.ir import Json
from sandbox.state import Reservation, Store

GRACE_S: Final = 2.0
"""For gates to kill their calls themselves, which they notice four times a second; then it is done for them."""

END_S: Final = 10.0
"""For gates to settle and record what was killed, on a machine that is busy."""

POLL_S: Final = 0.05


@click.command(name="stop", epilog="Example: sandbox stop --state sqlite:///var/sandbox.db --reason 'odd payments'")
@click.option("--reason", default="", help="Why; goes on record.")
@state_option
@json_option
def command(*, reason: str, state: str | None, as_json: bool) -> int:
    """Throw the kill switch: kill all running calls, empty pools, revoke permits. Only `sandbox resume` undoes it.

    Exit code: 0 if nothing runs any more, 1 if something still does.
    """
    store = Store.existing(state_path(state))
    try:
        store.throw_switch()  # first, and without a lock: from here on no gate lets anything run
        epoch = _revoke(store, reason)
        found = store.running()
        _await_end(store, GRACE_S)
        stuck = store.running()
        killed = _force(stuck)
        if stuck:
            _await_end(store, END_S)
        left = store.running()
    finally:
        store.close()
    if as_json:
        told: list[Json] = [_told(each) for each in left]
        document = {"stopped": True, "epoch": epoch, "running": len(found), "killed_by_force": killed, "left": told}
        print_document(document)
    else:
        click.echo(f"stopped: {len(found)} calls were running, {len(left)} still are")
        for each in left:
            click.echo(
                f"left: {show(each.tool)} of process {each.owner_pid}; it runs on the host, or its gate is stuck"
            )
    return 1 if left else 0


def _revoke(store: Store, reason: str) -> int | None:
    """Makes every permit void, and puts that on record; the new epoch. None where a stuck process holds the state.

    The switch is thrown whatever happens here: a call that runs is ended, and no other one begins.
    """
    try:
        with store.transaction() as transaction:
            transaction.stop()
            epoch = transaction.kill_epoch()
        body: dict[str, Json] = {"by": f"uid {os.getuid()}", "reason": reason, "epoch": epoch}
        AuditLog(store.audit_path, wall_clock).append("stopped", body)
    except Fault as error:
        click.echo(f"stopped all the same: {show(str(error))}", err=True)
        return None
    return epoch


def _await_end(store: Store, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while store.running() and time.monotonic() < deadline:
        time.sleep(POLL_S)


def _force(stuck: tuple[Reservation, ...]) -> int:
    """Kills the containers of calls whose gates did not; how many. Where no engine answers there are none."""
    if not stuck:
        return 0
    try:
        engine = connect()
    except EnvironmentLacking:
        return 0
    try:
        return kill_containers(engine, {(each.owner_pid, each.owner_start, each.call_digest) for each in stuck})
    except SandboxError as error:
        click.echo(show(str(error)), err=True)
        return 0
    finally:
        engine.close()


def _told(reservation: Reservation) -> Json:
    return {"tool": reservation.tool, "call_digest": reservation.call_digest, "owner_pid": reservation.owner_pid}
