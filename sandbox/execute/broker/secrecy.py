"""That a credential does not come back: an answer in which it stands is cut off before it.

Servers echo what they were sent (pages for testing, messages of errors). This finds the secret as it is, and in
base64; one that hides it otherwise is not stopped: a credential is as safe as the server that it is sent to.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

from sandbox.execute.broker.refused import Refused, Why


@dataclass(slots=True)
class Redactor:
    """Lets bytes through, late enough that no secret is ever half through. An empty secret is none."""

    secret: str
    _needles: tuple[bytes, ...] = ()
    _kept: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        if self.secret:
            plain = self.secret.encode()
            self._needles = (plain, base64.b64encode(plain).rstrip(b"="))

    def check(self, data: bytes) -> None:
        """Returns if no secret stands in there; raises Refused."""
        if any(needle in data for needle in self._needles):
            raise Refused(Why.CREDENTIAL, "the server sent the credential back; its answer is not passed on")

    def release(self, data: bytes) -> bytes:
        """What may be passed on now that these bytes have come; raises Refused."""
        self._kept += data
        self.check(bytes(self._kept))
        held = max((len(needle) - 1 for needle in self._needles), default=0)
        ready = bytes(self._kept[: max(0, len(self._kept) - held)])
        del self._kept[: len(ready)]
        return ready

    def rest(self) -> bytes:
        """What was held back, at the end."""
        return bytes(self._kept)
