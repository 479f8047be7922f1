"""A dashboard: rows of panels, with what all dashboards have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from grafana_foundation_sdk.builders.dashboard import Dashboard, QueryVariable, TimePicker
from grafana_foundation_sdk.builders.dashboard import Row as RowPanel
from grafana_foundation_sdk.models import dashboard as shapes

from ops.grafana import links, variables
from ops.grafana.annotations import marks
from ops.grafana.panels import Panel


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one title. A row that is repeated for each value of a variable is collapsed: its queries wait."""

    title: str
    panels: Sequence[Panel]
    repeat: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """A dashboard; ``uid`` is its address for good, so links to it last. It shows the time from ``since`` to now."""

    uid: str
    title: str
    description: str
    rows: Sequence[Row]
    variables: Sequence[QueryVariable] = field(default=())
    since: str = "now-1h"

    @property
    def file_name(self) -> str:
        """The name of its file."""
        return self.uid.removeprefix("headrace-") + ".json"

    def build(self) -> shapes.Dashboard:
        """Return it as Grafana wants it; the same at every call."""
        board = (
            Dashboard(f"Headrace / {self.title}")
            .uid(self.uid)
            .description(self.description)
            .tags([links.TAG])
            .timezone("browser")
            .readonly()
            .tooltip(shapes.DashboardCursorSync.CROSSHAIR)
            .time(self.since, "now")
            .refresh("30s")
            .timepicker(TimePicker().refresh_intervals(["5s", "10s", "30s", "1m", "5m", "15m"]))
            .links(list(links.bar()))
            .annotations(list(marks()))
            .variables([variables.datasource(), *self.variables, variables.runbooks()])
        )
        for row in self.rows:
            _place(board, row)
        built = board.build()
        _number(built.panels or [])
        return built


def _place(board: Dashboard, row: Row) -> None:
    if not row.repeat:
        board.with_row(RowPanel(row.title))
        for panel in row.panels:
            board.with_panel(panel)
        return
    folded = RowPanel(row.title).collapsed(True).repeat(row.repeat)
    for panel in row.panels:
        folded.with_panel(panel)
    board.with_row(folded)


def _number(panels: Sequence[shapes.Panel | shapes.RowPanel]) -> None:
    # By their order: Grafana would make up other ids at each load.
    n = 0
    for panel in panels:
        n += 1
        panel.id_val = n
        for inner in panel.panels if isinstance(panel, shapes.RowPanel) else ():
            n += 1
            inner.id_val = n
