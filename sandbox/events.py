"""What the gate does, told to the program's own logging as structlog events; silent until that listens.

Nothing is configured on import, and structlog is loaded with the first event that somebody will read.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

LOGGER_NAME: Final = "sandbox"

logging.getLogger(LOGGER_NAME).addHandler(logging.NullHandler())


def emit(event: str, **fields: str | int | None) -> None:
    """Log `event` at level info on the standard logger `sandbox`, its fields as attributes of the log record."""
    _log(logging.INFO, event, fields)


def warn(event: str, **fields: str | int | None) -> None:
    """As `emit`, at level warning: what an operator should see without asking for it."""
    _log(logging.WARNING, event, fields)


def _log(level: int, event: str, fields: Mapping[str, str | int | None]) -> None:
    logger = logging.getLogger(LOGGER_NAME)
    if not logger.isEnabledFor(level):
        return
    import structlog  # noqa: PLC0415  # costs 100 ms, and most programs never listen

    processors = [structlog.contextvars.merge_contextvars, structlog.stdlib.render_to_log_kwargs]
    wrapped = structlog.wrap_logger(logger, processors=processors, wrapper_class=structlog.stdlib.BoundLogger)
    wrapped.log(level, event, **fields)
