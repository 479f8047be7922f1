"""The log itself as a destination: for trying things out.

Example::

    destinations:
      console: {connector: log}
    routes:
      - {name: order-to-log, source: orders, to: console, action: write, with: {message: "order {{ body.id }}"}}
"""

from __future__ import annotations

import orjson
import structlog

from connectors.connector import Call, Connector

FIELDS_BYTES_MAX = 16 * 1024

log = Connector("log")
_lines = structlog.get_logger("action")


@log.action
async def write(call: Call, *, message: str | None = None, **fields: object) -> None:
    """Write one log line with the message and the fields, at least once: a crash after it writes it again.

    The line's event is ``action_log_write``. Fields of more than 16 KiB in all are cut short, and become one text.
    """
    shown: dict[str, object] = {} if message is None else {"message": message[:FIELDS_BYTES_MAX]}
    if fields:
        # default: whatever JSON lacks is written as text; the log is for people.
        encoded = orjson.dumps(fields, default=str, option=orjson.OPT_NON_STR_KEYS)
        within = len(encoded) <= FIELDS_BYTES_MAX
        shown["fields"] = fields if within else encoded[:FIELDS_BYTES_MAX].decode(errors="replace") + "…"
    _lines.info("action_log_write", destination=call.destination, delivery_id=call.idempotency_key, **shown)
