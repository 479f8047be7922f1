"""The page that says what is tried again: the common table, and what connectors except from it."""

from __future__ import annotations

from collections.abc import Iterable

from connectors import database, smtp
from connectors.answers import RETRY_AFTER_S_MAX, RULES
from connectors.connector import Connector
from ops.connector_pages.page import statuses, table

MEANINGS = {
    "ok": "settled",
    "permanent": "**dead letter**, at once",
    "credentials_refused": "**the destination pauses**; the delivery waits for its credential, and no attempt is used",
    "rate_limited": "tried again; **the whole destination waits**, and the circuit does not count it",
    "transient": "tried again; 5xx count for the circuit",
}
WITHOUT_ANSWER = (
    ("no answer within `timeout_s`", "tried again; counts for the circuit", "the call may have had its effect"),
    ("no connection, or it broke", "tried again; counts for the circuit", "the call may have had its effect"),
    ("the host's name leads to a private address", "tried again; counts for the circuit", "nothing was sent"),
    ("the parameters do not fit the action", "**dead letter**, at once", "nothing was sent"),
    ("a mapping cannot be rendered", "**dead letter**, at once", "nothing was sent"),
    ("the action itself raises something else", "tried again", "a defect, of which no delivery is to blame"),
)


BEGINNING = (
    "A call that fails is tried again in place (`retry`), then after each of `delays_s`, and is then a dead letter. A "
    "dead letter keeps everything that is needed to [replay it](../how-to/replay-dead-letters.md). What is tried "
    "again, and what is not, is decided by the answer:"
)
HEEDED = (
    "`Retry-After` (seconds, also with a fraction, or a date) and the rate-limit headers of the IETF and of GitHub, "
    f"Discord and others are heeded, up to {RETRY_AFTER_S_MAX / 3600:g} hours: also on an answer that is a success, "
    "so that the next call is not one too many."
)
OTHER_PROTOCOLS = (
    "`postgres`, `email` and `kafka` speak other protocols than HTTP. SQLSTATE classes "
    f"{', '.join(database.TRANSIENT)} are tried again, {', '.join(database.REFUSED)} pause the destination, all others "
    "are dead letters. SMTP replies 4xx are tried again, "
    f"{', '.join(map(str, sorted(smtp.MISCONFIGURED)))} pause the destination, other 5xx are dead letters. The "
    f"circuit counts {smtp.ENDING} and a server that turns us away before the mail. Of Kafka's "
    "errors, those of authorization pause it, records that are too large are dead letters, and all others are tried "
    "again."
)


def retries_page(connectors: Iterable[Connector]) -> str:
    """Return the page."""
    rows = [(_numbers(rule.first, rule.last), MEANINGS[rule.meaning], rule.because) for rule in RULES]
    exceptions = [
        (_link(connector), statuses(rule.first, rule.last), MEANINGS[rule.meaning].partition(";")[0], rule.because)
        for connector in connectors
        for rule in (connector.dialect.rules if connector.dialect else ())
    ]
    parts = [
        "<!-- Made by `make connector-pages` from connectors/answers.py and the connectors: change it there. -->",
        "# What is tried again",
        BEGINNING,
        table(("status", "what happens", "why"), rows),
        HEEDED,
        "And without an answer:",
        table(("what went wrong", "what happens", "why"), WITHOUT_ANSWER),
        "## Where a service means something else",
        "The first of these rows that fits comes before the table above:",
        table(("connector", "status", "what happens", "why"), exceptions),
        OTHER_PROTOCOLS,
    ]
    return "\n\n".join(parts) + "\n"


def _link(connector: Connector) -> str:
    return f"[`{connector.name}`](../connectors/{connector.name}.md)"


def _numbers(first: int, last: int) -> str:
    return "anything else" if first == 0 else statuses(first, last)
