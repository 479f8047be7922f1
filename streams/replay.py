"""Replay: puts dead letters back to work, each at most once, whoever asks and whenever they are killed.

The order of writes makes it so. For each letter: a *claim* (the letter in the state ``replaying``, naming the
topic that the delivery goes to), then the delivery. A claim counts only if it is the first record of its key after
the state that was selected: the log decides between two replays at once. A claim whose delivery never came, because
its replay was killed, is taken over after ``LEASE_S``, once neither the queue nor the outcomes show the delivery.
The worker that settles the delivery writes the tombstone.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from aiokafka import AIOKafkaProducer

from streams.dead_letter import Claim, DeadLetter, replayed_letter, tombstone
from streams.delivery import Delivery
from streams.event import UnreadableRecord
from streams.kafka import KafkaSettings, KafkaUnavailable, read_topic
from streams.letters import Letters, Selection, Stored, with_bodies
from streams.outcome import Outcome
from streams.pauses import publish
from streams.record import Record
from streams.routing import Routes
from streams.topics import TopicNames

LEASE_S = 60.0
CHUNK_LETTERS = 200
CHUNK_BYTES = 8 * 1024 * 1024

REPLAYED = "replayed"
IN_QUEUE = "already back in the queue"
CLAIMED = "being replayed by another"
NO_ROUTE = "its route is no longer in the routing table"
CHANGED = "changed meanwhile"
_NEVER = 1 << 62  # larger than any replay's number


@dataclass(frozen=True, slots=True)
class Result:
    """What a replay did with one letter: `REPLAYED`, or why not."""

    letter_id: str
    outcome: str


class Pace(Protocol):
    """Spreads a replay over time."""

    @property
    def chunk_max(self) -> int: ...  # noqa: D102  how many letters may go together
    async def wait(self, count: int) -> None: ...  # noqa: D102  returns when as many may go


class Replay:
    """One run of ``headrace dlq replay``."""

    def __init__(
        self,
        *,
        kafka: KafkaSettings,
        names: TopicNames,
        routes: Routes,
        producer: AIOKafkaProducer,
        pace: Pace | None = None,
        now_s: Callable[[], float] = time.time,
        token: str | None = None,
    ) -> None:
        self._kafka, self._names, self._routes, self._producer = kafka, names, routes, producer
        self._now_s = now_s
        self._pace = pace
        self._token = token or uuid.uuid4().hex

    async def run(self, letters: Letters, selection: Selection) -> AsyncIterator[Result]:
        """Replay what is selected; yields one result a letter, when its delivery is acknowledged.

        Raises:
            KafkaUnavailable: the broker stopped answering; what was claimed and not published is taken over later.
        """
        await letters.catch_up()
        selected = selection.of(letters.outstanding())
        free, results = await self._sort_out(selected)
        for result in results:
            yield result
        chunk: list[Stored] = []
        chunk_max = min(CHUNK_LETTERS, self._pace.chunk_max) if self._pace else CHUNK_LETTERS
        async for stored in with_bodies(self._kafka, self._names, free):
            chunk.append(stored)
            if len(chunk) >= chunk_max or sum(len(s.letter.body) for s in chunk) >= CHUNK_BYTES:
                for result in await self._replay_chunk(letters, chunk):
                    yield result
                chunk = []
        for result in await self._replay_chunk(letters, chunk):
            yield result

    async def _sort_out(self, selected: Iterable[Stored]) -> tuple[list[Stored], list[Result]]:
        """Part the letters that can be claimed from those that must not be."""
        free, results, stale = [], [], []
        for stored in selected:
            letter = stored.letter
            if not letter.unreadable and self._routes.named(letter.header("headrace-route")) is None:
                results.append(Result(letter.id, NO_ROUTE))
            elif letter.claim is None:
                free.append(stored)
            elif self._now_s() - letter.claim.time_ms / 1000 < LEASE_S:
                results.append(Result(letter.id, CLAIMED))
            else:
                stale.append(stored)
        published = await self._published(stale)
        for stored in stale:
            if stored.letter.id in published:
                results.append(Result(stored.letter.id, IN_QUEUE))
            else:
                free.append(stored)
        return free, results

    async def _published(self, stale: list[Stored]) -> set[str]:
        """Return which of the stale claims were followed by their delivery: it is in the queue, or has an outcome."""
        found: set[str] = set()
        numbers = {stored.letter.id: _replay_number(stored.letter) for stored in stale}
        claims = [stored.letter.claim for stored in stale if stored.letter.claim is not None]
        for topic in sorted({claim.topic for claim in claims}):
            since_ms = min(claim.time_ms for claim in claims if claim.topic == topic) - int(LEASE_S * 1000)
            async for record in read_topic(self._kafka, topic, since_ms=since_ms):
                letter_id, number = _replayed_in(record)
                if number >= numbers.get(letter_id, _NEVER):
                    found.add(letter_id)
        if claims:
            since_ms = min(claim.time_ms for claim in claims) - int(LEASE_S * 1000)
            async for record in read_topic(self._kafka, self._names.outcomes, since_ms=since_ms):
                outcome = _outcome(record.value)
                if outcome is not None and outcome.replay >= numbers.get(outcome.delivery_id, _NEVER):
                    found.add(outcome.delivery_id)
        return found

    async def _replay_chunk(self, letters: Letters, chunk: list[Stored]) -> list[Result]:
        if not chunk:
            return []
        if self._pace:
            await self._pace.wait(len(chunk))  # before the claims: their lease runs
        claimed_at_s = self._now_s()
        plans = {stored.letter.id: (stored, self._plan(stored.letter)) for stored in chunk}
        await self._publish(self._claimed(stored.letter, record, claimed_at_s) for stored, record in plans.values())
        won, lost = await self._won(letters, plans.keys())
        await self._publish(lost)
        if self._now_s() - claimed_at_s > LEASE_S / 2:
            raise KafkaUnavailable("Kafka took too long to acknowledge the claims: run the command again in a minute")
        await self._publish(record for letter_id, (_, record) in plans.items() if letter_id in won)
        return [Result(letter_id, REPLAYED if letter_id in won else CHANGED) for letter_id in plans]

    def _plan(self, letter: DeadLetter) -> Record:
        """Return the record that puts the letter back to work, by the routing table as it is now."""
        if letter.unreadable:
            return letter.original()
        delivery = letter.delivery()
        route = self._routes.named(delivery.route)
        if route is not None:
            delivery = replace(delivery, destination=route.destination, high=route.high, ordered=route.ordered)
        again = replace(
            delivery,
            replay=_replay_number(letter),
            round=0,
            not_before_ms=0,
        )
        return again.to_record(self._names.deliveries(again.destination, high=again.high))

    def _claimed(self, letter: DeadLetter, record: Record, now_s: float) -> Record:
        claim = Claim(self._token, int(now_s * 1000), record.topic)
        headers = [h for h in letter.headers if h[0] != "headrace-replay"]
        headers.append(("headrace-replay", b"%d" % _replay_number(letter)))
        return replace(letter, claim=claim, headers=headers).to_record(self._names.dead_letter)

    async def _won(self, letters: Letters, ids: Iterable[str]) -> tuple[set[str], list[Record]]:
        """Return the letters whose first new state is our claim, and what restores those where it is not."""
        news = await letters.catch_up()
        won: set[str] = set()
        restore: list[Record] = []
        for letter_id in ids:
            states = news.get(letter_id, [])
            ours = [bool(s and s.letter.claim and s.letter.claim.token == self._token) for s in states]
            if ours and ours[0]:
                won.add(letter_id)
            elif ours and ours[-1]:
                restore.append(await self._restored(letter_id, _last_other(states, ours)))
        return won, restore

    async def _restored(self, letter_id: str, state: Stored | None) -> Record:
        if state is None:
            return tombstone(self._names.dead_letter, letter_id)
        async for stored in with_bodies(self._kafka, self._names, [state]):
            return stored.letter.to_record(self._names.dead_letter)
        return tombstone(self._names.dead_letter, letter_id)

    async def _publish(self, records: Iterable[Record]) -> None:
        async with asyncio.timeout(LEASE_S / 2):
            await asyncio.gather(*(publish(self._producer, record) for record in records))


def _replay_number(letter: DeadLetter) -> int:
    """The number of the replay that is due, or, of a claimed letter, under way."""
    number = int(letter.header("headrace-replay") or 0)
    return number if letter.claim is not None else number + 1


def _last_other(states: list[Stored | None], ours: list[bool]) -> Stored | None:
    return [state for state, mine in zip(states, ours, strict=True) if not mine][-1]


def _replayed_in(record: Any) -> tuple[str, int]:
    """Return which letter a queue's record replays, and the number of the replay (0 for one that is no replay)."""
    fields = dict(record.headers)
    letter_id = replayed_letter(fields)
    if letter_id is not None:
        return letter_id, _NEVER
    try:
        delivery = Delivery.from_fields(record.key, b"", fields)
    except UnreadableRecord:
        return "", 0
    return delivery.id, delivery.replay


def _outcome(value: bytes | None) -> Outcome | None:
    try:
        return Outcome.from_record(value or b"")
    except UnreadableRecord:
        return None
