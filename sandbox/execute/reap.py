"""Removes what processes left that are gone: containers, views of workspaces, half-written folders."""

from __future__ import annotations

import contextlib
import time

from sandbox.errors import SandboxFailure
from sandbox.execute.broker.lease import drop_abandoned_leases
from sandbox.execute.engine import Engine
from sandbox.execute.owner import LABEL_PROJECT, drop_old_claims, owner_of
from sandbox.execute.source import drop_old_snapshots
from sandbox.execute.workspace import drop_abandoned_views


def reap(engine: Engine) -> int:
    """Removes every container of ours whose owner is gone, never one whose owner may live; how many.

    Views of workspaces and sockets of brokers that dead owners left go as well, and copies of modules that nobody uses.
    """
    removed = 0
    for container, labels in engine.labelled(LABEL_PROJECT):
        owner = owner_of(labels)
        if owner is not None and owner.is_gone():
            with contextlib.suppress(SandboxFailure):  # the next start tries again; this one must not fail for it
                engine.remove(container)
                removed += 1
    drop_abandoned_views()
    drop_abandoned_leases()
    drop_old_snapshots(time.time())
    drop_old_claims(time.time())
    return removed
