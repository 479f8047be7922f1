"""Where a panel leads: to another dashboard, with the time and the choice kept, or to the runbook of an alert."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import DashboardLink
from grafana_foundation_sdk.models.dashboard import DashboardLinkType

OVERVIEW, INGEST, DELIVERIES, KAFKA, COST = (
    "headrace-overview",
    "headrace-ingest",
    "headrace-deliveries",
    "headrace-kafka-and-worker",
    "headrace-cost",
)
TAG = "headrace"
KEPT = "${__url_time_range}&${datasource:queryparam}"


def bar() -> list[DashboardLink]:
    """Return the links at the top of every dashboard: all the others."""
    return [
        DashboardLink("Headrace")
        .type(DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .include_vars(True)
        .keep_time(True)
        .icon("external link")
        .tooltip("The other dashboards of Headrace, for the same time")
    ]


def to_dashboard(uid: str, title: str, *variables: str) -> DashboardLink:
    """Return a link to a dashboard; ``variables`` are what it is to choose: ``var-source=github``."""
    return _link(title, "&".join([f"/d/{uid}?{KEPT}", *variables]))


def to_destination() -> DashboardLink:
    """Return a link from a series, or a row of a table, to the deliveries of its destination."""
    return to_dashboard(
        DELIVERIES, "Deliveries to ${__field.labels.destination}", "var-destination=${__field.labels.destination}"
    )


def to_source() -> DashboardLink:
    """Return a link from a series to the ingest of its source."""
    return to_dashboard(INGEST, "Posts of ${__field.labels.source}", "var-source=${__field.labels.source}")


def to_runbook(alert: str) -> DashboardLink:
    """Return a link to what to do when ``alert`` fires."""
    return _link(f"Runbook: {alert}", f"${{runbooks:raw}}/{alert}.md").target_blank(True)


def _link(title: str, url: str) -> DashboardLink:
    return DashboardLink(title).type(DashboardLinkType.LINK).url(url)
