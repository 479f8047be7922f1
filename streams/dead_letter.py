"""Dead letters: deliveries (or unreadable records) that failed for good, with all that explains and replays them.

The topic is compacted and keyed by delivery id (by the record's address, for an unreadable record). The newest record
of a key is its state: outstanding, replaying (still outstanding, written before the delivery is published again), or
a tombstone (settled by a replay, or discarded). The headers follow Kafka Connect's error headers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from streams.delivery import Delivery
from streams.event import UnreadableRecord, format_time, parse_time
from streams.record import Record

OUTSTANDING = "outstanding"
REPLAYING = "replaying"
STAGES = ("decode", "match", "route", "render", "call", "retry")  # see `Failure`
MESSAGE_CHARS_MAX = 2000
LETTER_HEADER = (
    "headrace-letter"  # on a replayed unreadable record: the letter that its success, or new failure, is about
)
_PREFIX = "headrace-error-"
_CLAIM = "headrace-claim"
_KEY = "headrace-error-key"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why and where something failed. Times are Unix milliseconds; ``status`` is the HTTP status, if there was one.

    ``stage`` is one of ``decode`` (unreadable record), ``match`` (condition), ``each`` (items), ``route`` (no such
    route), ``render`` (mapping), ``call`` (refused), ``retry`` (budget spent). ``topic``, ``partition`` and ``offset``
    are where the record stood when it failed.
    """

    stage: str
    topic: str
    partition: int
    offset: int
    error_class: str
    message: str
    status: int | None = None
    attempts: int = 0
    first_failure_ms: int = 0
    last_failure_ms: int = 0


@dataclass(frozen=True, slots=True)
class Claim:
    """One replay's hold on a letter: who, when (Unix milliseconds), and the topic that its delivery goes to."""

    token: str
    time_ms: int
    topic: str


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One dead letter. ``id`` is its key; ``body``, ``headers`` and ``event_key`` are the failed record, unchanged."""

    id: str
    body: bytes
    headers: list[tuple[str, bytes]]
    event_key: bytes
    failure: Failure
    claim: Claim | None = None

    @property
    def state(self) -> str:
        """``outstanding`` or ``replaying``."""
        return OUTSTANDING if self.claim is None else REPLAYING

    @property
    def unreadable(self) -> bool:
        """Whether this is a record that could not be read, not a delivery; its replay is the record, unchanged."""
        return self.failure.stage == "decode"

    def original(self) -> Record:
        """Return an unreadable record as it stood in its topic, marked so that its letter ends when it is read."""
        headers = [header for header in self.headers if header[0] != LETTER_HEADER]
        return Record(self.failure.topic, self.event_key, self.body, [*headers, (LETTER_HEADER, self.id.encode())])

    def delivery(self) -> Delivery:
        """Return the delivery that failed.

        Raises:
            UnreadableRecord: this letter is an unreadable record.
        """
        return Delivery.from_record(self.event_key, self.body, self.headers)

    def header(self, name: str) -> str:
        """Return a header of the failed record as text, empty if it has none."""
        return dict(self.headers).get(name, b"").decode(errors="replace")

    def to_record(self, topic: str) -> Record:
        """Return the record that makes this the newest state of its key."""
        failure = self.failure
        fields = {
            "stage": failure.stage,
            "topic": failure.topic,
            "partition": str(failure.partition),
            "offset": str(failure.offset),
            "class": failure.error_class,
            "message": failure.message[:MESSAGE_CHARS_MAX],
            "status": "" if failure.status is None else str(failure.status),
            "attempts": str(failure.attempts),
            "first-failure": format_time(failure.first_failure_ms),
            "last-failure": format_time(failure.last_failure_ms),
        }
        headers = [*self.headers, *((_PREFIX + name, text.encode(errors="replace")) for name, text in fields.items())]
        headers.append((_KEY, self.event_key))
        if self.claim is not None:
            headers.append((_CLAIM, f"{self.claim.token} {self.claim.time_ms} {self.claim.topic}".encode()))
        return Record(topic, self.id.encode(), self.body, headers)

    @classmethod
    def from_record(cls, key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes]]) -> DeadLetter:
        """Read a dead letter back from a record's raw key, value (not ``None``) and headers.

        Raises:
            UnreadableRecord: it is not a dead letter that this code reads.
        """
        headers = list(headers)
        fields = dict(headers)
        own = {name for name in fields if name.startswith(_PREFIX)} | {_CLAIM}
        try:
            return cls(
                id=(key or b"").decode(),
                body=value or b"",
                headers=[(name, raw) for name, raw in headers if name not in own],
                event_key=fields[_KEY],
                failure=_failure(fields),
                claim=_claim(fields[_CLAIM].decode()) if _CLAIM in fields else None,
            )
        except (KeyError, ValueError) as error:
            raise UnreadableRecord(f"not a dead letter: {error}") from error


def _failure(fields: dict[str, bytes]) -> Failure:
    text = {
        name.removeprefix(_PREFIX): raw.decode()
        for name, raw in fields.items()
        if name.startswith(_PREFIX) and name != _KEY
    }
    return Failure(
        stage=text["stage"],
        topic=text["topic"],
        partition=int(text["partition"]),
        offset=int(text["offset"]),
        error_class=text["class"],
        message=text["message"],
        status=int(text["status"]) if text["status"] else None,
        attempts=int(text["attempts"]),
        first_failure_ms=parse_time(text["first-failure"]),
        last_failure_ms=parse_time(text["last-failure"]),
    )


def _claim(text: str) -> Claim:
    token, time_ms, topic = text.split(" ")
    return Claim(token, int(time_ms), topic)


def failed_delivery(delivery: Delivery, failure: Failure) -> DeadLetter:
    """Return the dead letter of a delivery: keyed by its id, carrying it unchanged."""
    first = delivery.first_failure_ms or failure.last_failure_ms
    return DeadLetter(
        id=delivery.id,
        body=delivery.event.body,
        headers=delivery.to_headers(),
        event_key=delivery.event.key,
        failure=replace(failure, first_failure_ms=first, attempts=delivery.attempts),
    )


def unreadable_record(
    key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes]], failure: Failure
) -> DeadLetter:
    """Return the dead letter of a record that is no event or delivery: keyed by its (first) address in the log."""
    headers = list(headers)
    address = replayed_letter(dict(headers)) or f"{failure.topic}/{failure.partition}/{failure.offset}"
    return DeadLetter(id=address, body=value or b"", headers=headers, event_key=key or b"", failure=failure)


def replayed_letter(fields: Mapping[str, bytes]) -> str | None:
    """Return the id of the unreadable record's letter that a record replays: whoever reads it well ends that letter.

    ``fields`` are the record's headers by name.
    """
    raw = fields.get(LETTER_HEADER)
    return raw.decode(errors="replace") if raw else None


def tombstone(topic: str, letter_id: str) -> Record:
    """Return the record that ends a letter: settled by a replay, or discarded."""
    return Record(topic, letter_id.encode(), None)
