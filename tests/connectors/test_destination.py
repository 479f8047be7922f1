import asyncio
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from connectors.connector import Call, Connector
from connectors.destination import Destination, Interrupted
from connectors.errors import (
    CredentialsRefused,
    PermanentError,
    RateLimited,
    TimeoutExceeded,
    TransientError,
    Unreachable,
)
from connectors.metrics import ConnectorMetrics
from tests.connectors.clock import Clock, never


class Bed:
    """A destination whose one action does as told: an exception is raised, an event awaited."""

    def __init__(self, clock=None, sleep=None, secrets=None, **keys):
        self.clock = clock or Clock()
        self.registry = CollectorRegistry()
        self.outcomes: list[Any] = []
        self.calls: list[Call] = []
        self.running = self.most = 0
        connector = Connector("bed")

        @connector.action
        async def act(call: Call, *, text: str = "") -> None:
            """Act at least once."""
            self.calls.append(call)
            self.running += 1
            self.most = max(self.most, self.running)
            try:
                outcome = self.outcomes.pop(0) if self.outcomes else None
                await asyncio.sleep(0)
                if isinstance(outcome, asyncio.Event):
                    await outcome.wait()
                elif outcome is not None:
                    raise outcome
            finally:
                self.running -= 1

        settings = connector.settings_model.model_validate({"connector": "bed", **keys})
        self.destination = Destination(
            "bed",
            settings,
            connector,
            secrets=secrets or {},
            metrics=ConnectorMetrics(self.registry),
            now=self.clock,
            sleep=sleep or self.clock.sleep,
            random=lambda: 0.5,
        )

    async def call(self, before=None, action="act", **parameters):
        async def go():
            pass

        return await self.destination.call(action, parameters, idempotency_key="k", before_attempt=before or go)

    def start(self, count=1, before=None):
        return [asyncio.create_task(self.call(before)) for _ in range(count)]

    def count(self, outcome):
        return self.registry.get_sample_value("headrace_attempts_total", {"destination": "bed", "outcome": outcome})


async def settle(seconds=0.01):
    await asyncio.sleep(seconds)


async def test_a_round_reports_its_attempts_and_keeps_its_key():
    bed = Bed()
    bed.outcomes = [TransientError("a"), Unreachable("b")]
    assert (await bed.call()).attempts == 3
    assert [call.idempotency_key for call in bed.calls] == ["k"] * 3
    assert bed.clock.slept_s == [3, 6]
    assert (bed.count("transient"), bed.count("ok")) == (2, 1)


@pytest.mark.parametrize(
    ("error", "attempts", "outcome"),
    [
        (PermanentError("no", status=400), 1, "permanent"),
        (CredentialsRefused("no", status=401), 1, "credentials_refused"),
        (TransientError("no", status=500), 3, "transient"),
        (RateLimited("no", status=429), 3, "rate_limited"),
        (TransientError("no", retry_after_s=11), 1, "transient"),
        (TimeoutError(), 3, "timeout"),
        (KeyError("secret"), 3, "transient"),
    ],
)
async def test_each_failure_says_how_many_attempts_there_were(error, attempts, outcome):
    bed = Bed()
    bed.outcomes = [error] * 3
    with pytest.raises(Exception) as caught:  # noqa: PT011  of several types
        await bed.call()
    assert caught.value.attempts == attempts == len(bed.calls)
    assert bed.count(outcome) == attempts
    assert "secret" not in str(caught.value)


async def test_parameters_that_do_not_fit_use_no_attempt():
    bed = Bed()
    for attempt in (bed.call(text=[]), bed.call(extra=1), bed.call(action="unknown")):
        with pytest.raises(PermanentError) as caught:
            await attempt
        assert caught.value.attempts == 0
    assert bed.calls == []


async def test_calls_in_flight_are_bounded_and_a_backoff_holds_no_slot():
    bed = Bed(concurrency=2)
    await asyncio.gather(*bed.start(20))
    assert bed.most == 2
    bed = Bed(concurrency=1, sleep=never)
    bed.outcomes = [TransientError("a"), None]
    backing_off, other = bed.start(2)
    await asyncio.wait_for(other, 1)
    assert not backing_off.done()
    backing_off.cancel()


async def test_before_attempt_comes_immediately_before_each_call_after_all_waits():
    bed = Bed(rate="1/s")
    bed.outcomes = [TransientError("a")]
    seen = []

    async def before():
        seen.append((bed.clock.now_s, len(bed.calls)))

    await bed.call(before)
    assert seen == [(1_001, 0), (1_004, 1)]


async def test_a_call_is_bounded_and_its_slot_given_back():
    bed = Bed(timeout_s=0.02, concurrency=1, retry={"attempts": 1})
    bed.outcomes = [asyncio.Event()]
    with pytest.raises(TimeoutExceeded):
        await bed.call()
    assert (await bed.call()).attempts == 1


@pytest.mark.parametrize("where", ["slot", "rate", "circuit", "backoff", "call"])
async def test_cancellation_anywhere_leaks_nothing(where):
    bed = Bed(concurrency=1, sleep=never, circuit={"failures": 1}, rate="1/s" if where == "rate" else None)
    if where in ("slot", "call"):
        bed.outcomes = [asyncio.Event()]
    if where == "circuit":
        (await bed.destination.breaker.admit()).failed()
    if where == "backoff":
        bed.outcomes = [TransientError("a", status=409)]
    holder = bed.start(1) if where == "slot" else []
    await settle()
    tasks = bed.start(3)
    await settle()
    for task in holder + tasks:
        task.cancel()
    results = await asyncio.gather(*holder, *tasks, return_exceptions=True)
    assert any(isinstance(result, asyncio.CancelledError) for result in results)
    assert bed.destination.in_flight == 0
    assert bed.destination.gate._slots._free == 1
    if where in ("slot", "call", "backoff"):
        bed.outcomes = []
        assert (await asyncio.wait_for(bed.call(), 1)).attempts == 1


async def failing(bed, times, error=None):
    bed.outcomes = [error or Unreachable("down")] * times
    for _ in range(times):
        with pytest.raises(Exception):  # noqa: B017, PT011
            await bed.call()


@pytest.mark.parametrize(
    "error", [Unreachable("x"), TimeoutExceeded("x"), TransientError("x", status=500), TimeoutError()]
)
async def test_failures_of_the_destination_open_its_circuit(error):
    bed = Bed(retry={"attempts": 1}, circuit={"failures": 3})
    await failing(bed, 3, error)
    assert bed.destination.breaker.state == "open"
    assert bed.registry.get_sample_value("headrace_circuit_open", {"destination": "bed"}) == 1
    started_s = bed.clock.now_s
    assert (await bed.call()).attempts == 1
    assert bed.clock.now_s == started_s + 30
    assert bed.registry.get_sample_value("headrace_circuit_open", {"destination": "bed"}) == 0


@pytest.mark.parametrize(
    "error",
    [
        PermanentError("x", status=404),
        PermanentError("not sent"),
        PermanentError("550 no such user", status=550),
        CredentialsRefused("535 wrong password", status=535),
        RateLimited("x", status=429, retry_after_s=0),
        TransientError("x", status=409),
        CredentialsRefused("x", status=401),
        KeyError("defect"),
    ],
)
async def test_other_failures_do_not_open_it(error):
    bed = Bed(retry={"attempts": 1}, circuit={"failures": 1})
    await failing(bed, 3, error)
    assert bed.destination.breaker.state == "closed"


@pytest.mark.parametrize("way", ["cancelled", "revoked", "defect"])
async def test_a_probe_that_is_not_made_gives_its_place_back(way):
    bed = Bed(retry={"attempts": 1}, circuit={"failures": 1})
    await failing(bed, 1)
    bed.clock.now_s += 30

    async def revoked():
        raise LookupError

    if way == "cancelled":
        bed.outcomes = [asyncio.Event()]
        (probe,) = bed.start()
        await settle()
        assert bed.destination.breaker.is_open
        probe.cancel()
        await asyncio.gather(probe, return_exceptions=True)
    elif way == "revoked":
        with pytest.raises(LookupError):
            await bed.call(revoked)
    else:
        await failing(bed, 1, KeyError("defect"))
    assert not bed.destination.breaker.is_open
    assert (await asyncio.wait_for(bed.call(), 1)).attempts == 1
    assert bed.destination.breaker.state == "closed"


async def test_a_circuit_is_told_when_it_opens_and_not_while_its_probes_fail():
    bed = Bed(retry={"attempts": 1}, circuit={"failures": 2, "open_s": 30})
    reasons: list[str] = []
    bed.destination.gate._on_circuit_opened = reasons.append
    bed.outcomes = [Unreachable(f"down {number}") for number in range(5)]
    for _ in range(5):  # two open it, three are probes
        with pytest.raises(Unreachable):
            await bed.call()
    assert reasons == ["down 1"]
    await bed.call()
    bed.outcomes = [Unreachable("down again")] * 2
    for _ in range(2):
        with pytest.raises(Unreachable):
            await bed.call()
    assert reasons == ["down 1", "down again"]


async def test_one_probe_at_a_time_and_then_everybody():
    bed = Bed(retry={"attempts": 1}, circuit={"failures": 1}, concurrency=10)
    await failing(bed, 1)
    gate = asyncio.Event()
    bed.outcomes = [gate]
    tasks = bed.start(5)
    await settle(0.05)
    assert bed.running == 1
    gate.set()
    await asyncio.wait_for(asyncio.gather(*tasks), 1)


@pytest.mark.parametrize("where", ["slot", "rate", "circuit", "backoff"])
async def test_waits_are_interrupted_and_calls_in_flight_go_on(where):
    bed = Bed(concurrency=1, sleep=never, circuit={"failures": 1}, rate="1/s" if where == "rate" else None)
    gate = asyncio.Event()
    if where == "slot":
        bed.outcomes = [gate]
    if where == "circuit":
        (await bed.destination.breaker.admit()).failed()
    if where == "backoff":
        bed.outcomes = [TransientError("a", status=409), gate]
    tasks = bed.start(2)
    await settle()
    bed.destination.interrupt_backoff()
    await settle()
    gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    interrupted = [result for result in results if isinstance(result, Interrupted)]
    assert len(interrupted) == (1 if where in ("slot", "backoff") else 2)
    assert bed.destination.gate._slots._free == 1
    if where in ("slot", "backoff"):
        assert (await asyncio.wait_for(bed.call(), 1)).attempts == 1  # what begins afterwards is not interrupted


async def test_a_call_in_flight_that_fails_after_the_interruption_does_not_begin_to_wait():
    bed = Bed(sleep=never)

    async def interrupting():
        bed.destination.interrupt_backoff()

    bed.outcomes = [TransientError("a")]
    with pytest.raises(Interrupted):
        await asyncio.wait_for(bed.call(interrupting), 1)
    assert len(bed.calls) == 1


async def test_a_foreign_cancellation_is_no_interruption():
    bed = Bed(sleep=never)
    bed.outcomes = [TransientError("a")]
    (task,) = bed.start()
    await settle()
    bed.destination.interrupt_backoff()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_rate_is_kept_also_when_an_open_circuit_held_calls_back():
    bed = Bed(rate="10/s", retry={"attempts": 1}, circuit={"failures": 1}, concurrency=100)
    times_s = []

    async def before():
        times_s.append(bed.clock.now_s)

    bed.outcomes = [Unreachable("down")]
    await asyncio.gather(*bed.start(60, before), return_exceptions=True)
    times_s.sort()
    for first, later in zip(times_s, times_s[11:], strict=False):
        assert later - first >= 1.0 - 1e-6
    waits = bed.registry.get_sample_value("headrace_rate_limit_wait_seconds_count", {"destination": "bed"})
    assert waits >= 60


async def test_the_rate_is_kept_also_when_a_pause_held_calls_back():
    bed = Bed(rate="10/s", concurrency=50)
    times_s, resumed_s = [], bed.clock.now_s + 60

    async def before():
        while bed.clock.now_s < resumed_s:
            await bed.clock.sleep(1)
        times_s.append(bed.clock.now_s)

    await asyncio.gather(*bed.start(50, before))
    called_s = sorted(times_s)[-50:]  # the last time that it was awaited is the one before the call
    assert called_s[0] >= resumed_s
    for first, later in zip(called_s, called_s[16:], strict=False):
        assert later - first >= 1.0 - 1e-6


async def test_a_call_that_a_pause_held_back_is_not_made_while_the_circuit_is_open():
    bed = Bed(retry={"attempts": 1}, circuit={"failures": 1})
    resumed = asyncio.Event()

    async def paused():
        if not resumed.is_set():
            await resumed.wait()
            bed.clock.now_s += 1

    (held,) = bed.start(1, paused)
    await settle()
    await failing(bed, 1)
    resumed.set()
    await asyncio.wait_for(held, 1)
    assert bed.clock.now_s >= 1_030


async def test_a_call_that_a_pause_held_back_is_interrupted_while_it_waits_for_its_rate():
    bed = Bed(rate="1/s", sleep=never, concurrency=1)
    bed.destination.limiter._tokens = 1.0

    async def paused():
        bed.clock.now_s += 0.5

    (held,) = bed.start(1, paused)
    await settle()
    assert bed.destination.in_flight == 0
    bed.destination.interrupt_backoff()
    with pytest.raises(Interrupted):
        await asyncio.wait_for(held, 1)
    assert bed.calls == []
    assert bed.destination.gate._slots._free == 1


async def test_a_call_that_waited_for_its_rate_while_the_circuit_opened_is_not_made():
    bed = Bed(rate="1/s", retry={"attempts": 1}, circuit={"failures": 1})
    times_s = []

    async def before():
        times_s.append(bed.clock.now_s)

    bed.outcomes = [Unreachable("down")]
    await asyncio.gather(*bed.start(2, before), return_exceptions=True)
    assert times_s[0] == 1_001
    assert times_s[1] >= 1_031


async def test_being_rate_limited_holds_the_whole_destination():
    bed = Bed(retry={"attempts": 1})
    bed.outcomes = [RateLimited("slow down", status=429, retry_after_s=20)]
    with pytest.raises(RateLimited):
        await bed.call()
    started_s = bed.clock.now_s
    await bed.call()
    assert bed.clock.now_s - started_s >= 20


async def test_close_ends_all_waits():
    bed = Bed(concurrency=1, sleep=never)
    bed.outcomes = [TransientError("a"), TransientError("b")]
    tasks = bed.start(2)
    await settle()
    await bed.destination.close()
    assert all(isinstance(r, Interrupted) for r in await asyncio.gather(*tasks, return_exceptions=True))


async def test_the_last_three_attempts_explain_a_failed_round():
    bed = Bed(retry={"attempts": 4, "backoff_s": [1, 1]})
    bed.outcomes = [
        Unreachable("no connection"),
        TransientError("500", status=500, excerpt="x" * 5000),
        TimeoutError(),
        TransientError("503", status=503, excerpt="busy"),
    ]
    with capture_logs() as logs, pytest.raises(TransientError) as caught:
        await bed.call()
    kept = caught.value.failures
    assert [(failure.status, failure.excerpt[:4]) for failure in kept] == [(500, "xxxx"), (None, ""), (503, "busy")]
    assert len(kept[0].excerpt) == 2048
    assert "10 s" in kept[1].error
    logged = [line for line in logs if line["event"] == "attempt_failed"]
    assert [line["attempt"] for line in logged] == [1, 2, 3, 4]
    assert [line.get("answer", "")[:4] for line in logged] == ["", "xxxx", "", "busy"]


async def test_nothing_that_is_kept_of_a_failure_holds_a_secret():
    bed = Bed(secrets={"token_env": "s3cret token"}, retry={"attempts": 1})
    bed.outcomes = [TransientError("refused: s3cret token", excerpt='{"seen": "s3cret%20token"}')]
    with capture_logs() as logs, pytest.raises(TransientError) as caught:
        await bed.call()
    text = f"{caught.value} {caught.value.failures} {logs}"
    assert "s3cret" not in text
    assert text.count("***") >= 4
