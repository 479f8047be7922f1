"""What a call can fail with. Each type exists because the delivery consumer treats it differently."""

from __future__ import annotations

import traceback
from pathlib import Path

from connectors.attempt import Attempt


class CallError(Exception):
    """A call that failed. ``status`` is the HTTP status if there was one; ``attempts`` counts the calls made in all.

    The text explains the failure to a person and never holds a credential. ``excerpt`` is the beginning of the
    answer's body, secrets masked, and empty without an answer. ``failures`` are the last attempts of the round,
    oldest first: `connectors.destination` fills them in.
    """

    def __init__(self, message: str, *, status: int | None = None, attempts: int = 0, excerpt: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.attempts = attempts
        self.excerpt = excerpt
        self.failures: tuple[Attempt, ...] = ()


class PermanentError(CallError):
    """The destination refused this call, and would refuse it again: a dead letter."""


class TransientError(CallError):
    """The call may succeed later: wait, then try again.

    ``retry_after_s`` is how long the destination asked to be left alone, if it did.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        attempts: int = 0,
        excerpt: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, status=status, attempts=attempts, excerpt=excerpt)
        self.retry_after_s = retry_after_s


class TimeoutExceeded(TransientError):
    """The destination did not answer within ``timeout_s``: the call may have had its effect."""


class Unreachable(TransientError):
    """No connection could be made, or it broke before the answer came: the call may have had its effect."""


class RateLimited(TransientError):
    """The destination said 429: it is well, but asks for fewer calls."""


class CredentialsRefused(CallError):
    """The destination answered 401 or 403: it is paused, and the delivery waits for its credential."""


def place_of(error: BaseException) -> str:
    """Return the class of an unexpected exception and the line it came from: its text may hold what nobody may see."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return type(error).__name__ + place
