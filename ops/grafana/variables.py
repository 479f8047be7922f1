"""What is chosen at the top of a dashboard."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import DatasourceVariable, QueryVariable, TextBoxVariable
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    VariableHide,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

DATASOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
RUNBOOKS = "/public/runbooks"


def datasource() -> DatasourceVariable:
    """Return the choice among the Prometheus servers that Grafana knows; the provisioned one first."""
    return (
        DatasourceVariable("datasource")
        .label("Data source")
        .type("prometheus")
        .current(VariableOption(selected=True, text="Prometheus", value="prometheus"))
    )


def runbooks() -> TextBoxVariable:
    """Return where the runbooks are read: in Grafana itself, into which the compose file mounts them as plain files.

    It is not shown; ``?var-runbooks=https://wiki.example.com/headrace`` in a dashboard's address leads elsewhere.
    """
    address = VariableOption(selected=True, text=RUNBOOKS, value=RUNBOOKS)
    box = TextBoxVariable("runbooks").label("Runbooks").default_value(RUNBOOKS).hide(VariableHide.HIDE_VARIABLE)
    return box.current(address).options([address])


def source() -> QueryVariable:
    """Return the choice of sources."""
    return _labels("source", "Source", "label_values(headrace_ingest_request_seconds_count, source)", ".*")


def destination() -> QueryVariable:
    """Return the choice of destinations; those that ingest names, so that it works while no worker runs."""
    return _labels(
        "destination", "Destination", 'label_values(headrace_dead_letters{destination!=""}, destination)', ".*"
    )


def instance() -> QueryVariable:
    """Return the choice of processes, as Prometheus scrapes them."""
    return _labels("instance", "Instance", "label_values(headrace_build_info, instance)", ".+")


def _labels(name: str, label: str, query: str, all_value: str) -> QueryVariable:
    # ".*" takes what has no such label too: posts to no source, dead letters of events that nobody could read.
    return (
        QueryVariable(name)
        .label(label)
        .query(query)
        .datasource(DATASOURCE)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(all_value)
        .current(VariableOption(selected=True, text=["All"], value=["$__all"]))
    )
