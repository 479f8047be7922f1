"""What the parts used of the processor, and for how much work, as their admin pages tell it."""

from __future__ import annotations

import http.client
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

from streams.mirror import SUFFIX as MIRROR_SUFFIX

ANSWER_BYTES_MAX = 64 * 1024 * 1024
TIMEOUT_S = 10.0


class NoMetrics(Exception):
    """An admin page gives no metrics of Headrace; the text says why."""


@dataclass(frozen=True, slots=True)
class PartUse:
    """What one part used since it was started. Ingest has accepted events, a worker settled deliveries."""

    cpu_s: float
    ingest: bool
    accepted: float
    settled: float


def read_part(url: str) -> PartUse:
    """Return what the part used whose admin pages are at ``url``, such as ``http://127.0.0.1:8081``.

    Raises:
        NoMetrics: nothing answers there, or it is no part of Headrace.
    """
    return use_of(_page(url))


def use_of(text: str) -> PartUse:
    """Return what the metrics of a part say.

    Raises:
        NoMetrics: they are not those of a part.
    """
    sums: dict[str, float] = {}
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if _counts(sample.name, sample.labels):
                    sums[sample.name] = sums.get(sample.name, 0.0) + float(sample.value)
                else:
                    sums.setdefault(sample.name, 0.0)
    except (ValueError, KeyError, IndexError) as error:
        raise NoMetrics(f"it gives no metrics: {error}") from None
    if "process_cpu_seconds_total" not in sums or "headrace_build_info" not in sums:
        raise NoMetrics("it gives no metrics of Headrace")
    return PartUse(
        cpu_s=sums["process_cpu_seconds_total"],
        ingest="headrace_ingest_in_flight_max" in sums,
        accepted=sums.get("headrace_ingest_requests_total", 0.0),
        settled=sums.get("headrace_deliveries_total", 0.0),
    )


def cpu_s_per_task(parts: Iterable[PartUse], *, events_per_task: float) -> float | None:
    """Return the processor seconds that a task takes in ingest and workers; ``None`` if they have settled none yet.

    Each side is measured by its own work, since the parts were not started together. Kafka's own is not in it.
    """
    parts = list(parts)
    settled = sum(part.settled for part in parts)
    accepted = sum(part.accepted for part in parts)
    if not settled:
        return None
    of_workers = sum(part.cpu_s for part in parts if not part.ingest) / settled
    of_ingest = sum(part.cpu_s for part in parts if part.ingest) / accepted if accepted else 0.0
    return of_workers + of_ingest * events_per_task


def _counts(name: str, labels: dict[str, str]) -> bool:
    if name == "headrace_ingest_requests_total":
        return labels.get("outcome") == "accepted"
    if name == "headrace_deliveries_total":
        return labels.get("outcome") == "settled" and not labels.get("route", "").endswith(MIRROR_SUFFIX)
    return True


def _page(url: str) -> str:
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
        if parts.scheme not in kinds or not parts.hostname:
            raise NoMetrics("it is no http address")
        connection = kinds[parts.scheme](parts.hostname, parts.port, timeout=TIMEOUT_S)
    except (ValueError, http.client.InvalidURL) as error:
        raise NoMetrics(f"it is no http address: {error}") from None
    path = parts.path.removesuffix("/").removesuffix("/metrics")
    try:
        connection.request("GET", f"{path}/metrics")
        answer = connection.getresponse()
        text: str = answer.read(ANSWER_BYTES_MAX).decode(errors="replace")
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NoMetrics(f"nothing answers: {error}") from None
    finally:
        connection.close()
    if answer.status != 200:
        raise NoMetrics(f"it answers with status {answer.status}")
    return text
