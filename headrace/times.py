"""Times as people type them on the command line."""

from __future__ import annotations

import re
import time

import click

from streams.event import parse_time

_AGO = re.compile(r"([0-9]{1,6})([smhd])", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Moment(click.ParamType):
    """A time (RFC 3339, UTC unless it says otherwise) or an age such as ``2h``; gives Unix milliseconds."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return ``value`` as Unix milliseconds, or refuse it."""
        if isinstance(value, int):
            return value
        text = str(value).strip()
        ago = _AGO.fullmatch(text)
        if ago:
            return int((time.time() - int(ago[1]) * _SECONDS[ago[2]]) * 1000)
        try:
            return parse_time(text)
        except (ValueError, OverflowError):
            self.fail(
                f"{text!r} is neither a time such as 2026-01-31T09:00Z nor an age such as 30m, 2h or 3d", param, ctx
            )
