from __future__ import annotations

from ingest.admission import FLOOR, START, TARGET_S, Admission


def risen(in_flight_max: int = 1000) -> Admission:
    """Return one whose limit has risen to its bound."""
    admission = Admission(in_flight_max)
    while admission.limit < in_flight_max:
        interval(admission, in_flight=admission.limit, usual_s=0.001)
    return admission


def interval(admission: Admission, *, in_flight: int, usual_s: float | None, lag_s: float = 0.0) -> bool:
    """Let one interval pass and return whether another request would have been taken in it."""
    admitted = admission.admits(in_flight)
    if usual_s is not None:
        for duration_s in (usual_s / 3, usual_s, usual_s * 3):
            admission.accepted(duration_s)
    admission.judge(lag_s)
    return admitted


def test_without_a_queue_the_limit_is_the_configured_one() -> None:
    admission = Admission(1000)
    for _ in range(100):
        assert interval(admission, in_flight=admission.limit - 1, usual_s=0.02)
    assert admission.limit == 1000
    assert not admission.admits(1000)


def test_a_limit_that_is_not_used_does_not_rise() -> None:
    admission = Admission(1000)
    for _ in range(100):
        interval(admission, in_flight=10, usual_s=0.001)
    assert admission.limit == START


def test_a_standing_queue_lowers_the_limit_and_its_end_raises_it() -> None:
    admission = risen(1000)
    for _ in range(5):
        interval(admission, in_flight=1000, usual_s=2 * TARGET_S)
    assert admission.limit < 500
    for _ in range(50):
        interval(admission, in_flight=admission.limit, usual_s=0.01)
    assert admission.limit == 1000


def test_the_first_step_starts_from_what_is_in_flight() -> None:
    admission = risen(100_000)
    interval(admission, in_flight=500, usual_s=1.1 * TARGET_S)
    assert admission.limit == 400


def test_the_limit_falls_in_the_measure_of_the_waiting_and_by_half_at_most() -> None:
    for waited_s, limit in ((1.6 * TARGET_S, 624), (2 * TARGET_S, 500), (10 * TARGET_S, 500)):
        admission = risen(1000)
        interval(admission, in_flight=1000, usual_s=waited_s)
        assert abs(admission.limit - limit) <= 1


def test_few_in_flight_are_no_queue_however_long_they_take() -> None:
    admission = Admission(1000)
    for _ in range(20):
        interval(admission, in_flight=1, usual_s=0.5, lag_s=0.5)  # a cold start, or a machine busy with others
    assert admission.limit == START


def test_as_many_as_the_floor_are_never_refused() -> None:
    admission = risen(1000)
    for _ in range(50):
        interval(admission, in_flight=1000, usual_s=1.0, lag_s=1.0)
        assert all(admission.admits(in_flight) for in_flight in range(FLOOR))


def test_one_slow_request_is_no_queue() -> None:
    admission = risen(1000)
    admission.accepted(5.0)
    interval(admission, in_flight=100, usual_s=0.01)
    assert admission.limit == 1000


def test_the_quick_ones_among_the_late_hide_no_queue() -> None:
    admission = risen(1000)
    for duration_s in (*[0.01] * 400, *[0.3] * 600):  # as one acknowledgement of Kafka answers many
        admission.accepted(duration_s)
    assert admission.admits(999)
    admission.judge(0.0)
    assert admission.limit < 500


def test_a_loop_that_lags_is_a_queue_and_one_late_wake_up_is_none() -> None:
    admission = risen(1000)
    interval(admission, in_flight=1000, usual_s=0.01, lag_s=1.0)
    assert admission.limit == 1000
    interval(admission, in_flight=1000, usual_s=None, lag_s=1.0)
    assert admission.limit == 500


def test_a_kafka_that_is_slow_by_itself_is_not_taken_for_a_queue() -> None:
    admission = risen(1000)
    limits = []
    for _ in range(100):
        interval(admission, in_flight=1000, usual_s=0.3)
        limits.append(admission.limit)
    assert min(limits) == FLOOR
    assert limits[-1] == 1000
    for _ in range(10):  # quick again: what 300 ms mean is then forgotten
        interval(admission, in_flight=10, usual_s=0.005)
    interval(admission, in_flight=1000, usual_s=0.3)
    assert admission.limit == 500


def test_nothing_answered_says_nothing() -> None:
    admission = risen(1000)
    interval(admission, in_flight=900, usual_s=None)
    assert admission.limit == 1000


def test_the_limit_keeps_a_queue_short() -> None:
    """A server of 2,000 a second, asked for 10,000: what it takes is answered in about the target."""
    admission, capacity_per_s, queue = Admission(1000), 2000, 0.0
    waits = []
    for _ in range(300):
        for _ in range(1000):  # what comes in an interval of 0.1 s
            if admission.admits(int(queue)):
                queue += 1
        wait_s = queue / capacity_per_s
        queue = max(0.0, queue - capacity_per_s * 0.1)
        interval(admission, in_flight=int(queue), usual_s=wait_s)
        waits.append(wait_s)
    assert max(waits[50:]) < 0.2
    assert min(waits[50:]) > 0.02  # and it is not idle
