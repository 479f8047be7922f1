"""The fold of the pauses."""

from __future__ import annotations

from streams.pauses import Pause, Pauses, resume_record
from streams.topics import TopicNames

NAMES = TopicNames()


def test_the_newest_record_of_a_destination_counts() -> None:
    pauses, changes = Pauses(), []
    pauses.on_change = lambda destination, paused: changes.append((destination, paused))
    pause = Pause("crm", "401", "1970-01-01T00:00:01.000Z").to_record(NAMES.pauses)
    assert pause.value is not None
    pauses.apply(pause.key, pause.value)
    found = pauses.get("crm")
    assert found is not None
    assert (found.reason, found.since) == ("401", "1970-01-01T00:00:01.000Z")
    assert pauses.get("other") is None
    resume = resume_record(NAMES, "crm")
    pauses.apply(resume.key, resume.value)
    assert pauses.get("crm") is None
    assert changes == [("crm", True), ("crm", False)]
    assert pauses.version("crm") == 2


def test_a_pause_that_cannot_be_read_pauses_all_the_same() -> None:
    pauses = Pauses()
    pauses.apply(b"crm", b"\xff")
    assert pauses.get("crm") is not None
