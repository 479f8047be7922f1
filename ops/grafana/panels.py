"""The kinds of panels, in the one style of all dashboards."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from typing import TypeVar

from grafana_foundation_sdk.builders import bargauge, common, heatmap, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders.dashboard import DashboardLink, FieldColor, ThresholdsConfig
from grafana_foundation_sdk.models import common as shapes
from grafana_foundation_sdk.models.dashboard import (
    DataTransformerConfig,
    DynamicConfigValue,
    FieldColorModeId,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMapping,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode

from ops.grafana.colors import BAD, GOOD, OUTCOMES, QUIET, SERIES, WAITING
from ops.grafana.query import Query
from ops.grafana.variables import DATASOURCE

Steps = Sequence[tuple[float | None, str]]
Panel = stat.Panel | timeseries.Panel | table.Panel | heatmap.Panel | bargauge.Panel | statetimeline.Panel
P = TypeVar("P", stat.Panel, timeseries.Panel, table.Panel, heatmap.Panel, bargauge.Panel, statetimeline.Panel)

PLAIN: Steps = [(None, QUIET)]
ANY_IS_BAD: Steps = [(None, GOOD), (1, BAD)]
NONE_IS_BAD: Steps = [(None, BAD), (1, GOOD)]
# The alert on capacity fires at 0.8; what is full is refused or waits.
CAPACITY: Steps = [(None, GOOD), (0.6, WAITING), (0.8, "orange"), (0.95, BAD)]
YES_NO = {"1": ("up", GOOD), "0": ("DOWN", BAD)}
OPEN_CLOSED = {"0": ("closed", GOOD), "0.5": ("half-open", WAITING), "1": ("OPEN", BAD)}
RUNS_PAUSED = {"0": ("runs", GOOD), "1": ("PAUSED", "orange")}
FINE_STOPPED = {"0": ("fine", GOOD), "0.5": ("trying", WAITING), "1": ("STOPPED", BAD)}
LINE_COLORS = OUTCOMES | SERIES


def number(
    title: str,
    description: str,
    expr: str,
    *,
    unit: str = "short",
    steps: Steps = PLAIN,
    words: Mapping[str, tuple[str, str]] | None = None,
    graph: bool = False,
    links: Sequence[DashboardLink] = (),
    nothing: str = "no data",
    decimals: int | None = None,
    width: int = 3,
) -> stat.Panel:
    """Return one number with a colour by ``steps``; ``graph`` draws its course behind it."""
    panel = _dress(stat.Panel(), title, description, [Query(expr)], width, 4, links)
    panel.unit(unit).no_value(nothing).thresholds(_thresholds(steps)).color_scheme(_by_threshold())
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False).fields(""))
    panel.color_mode(shapes.BigValueColorMode.VALUE if steps is PLAIN else shapes.BigValueColorMode.BACKGROUND)
    panel.graph_mode(shapes.BigValueGraphMode.AREA if graph else shapes.BigValueGraphMode.NONE)
    if decimals is not None:
        panel.decimals(decimals)
    return panel.mappings(_words(words)) if words else panel


def lines(
    title: str,
    description: str,
    *queries: Query,
    unit: str = "short",
    line_at: float | None = None,
    steps: Steps | None = None,
    stacked: bool = False,
    links: Sequence[DashboardLink] = (),
    data_links: Sequence[DashboardLink] = (),
    nothing: str = "nothing in this time",
    from_zero: bool = True,
    width: int = 12,
    height: int = 8,
) -> timeseries.Panel:
    """Return a graph over time. ``line_at`` draws the limit that must not be passed, ``steps`` several.

    Outcomes and stages have their colours by name; what has none takes one from the palette, the same for the same
    name. The legend is a table of the last and the highest value, the highest first.
    """
    panel = _dress(timeseries.Panel(), title, description, queries, width, height, links)
    panel.unit(unit).no_value(nothing).data_links(list(data_links))
    if from_zero:
        panel.min(0)
    panel.color_scheme(FieldColor().mode(FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
    panel.line_width(1).fill_opacity(60 if stacked else 8).show_points(shapes.VisibilityMode.NEVER)
    panel.stacking(
        common.StackingConfig().mode(shapes.StackingMode.NORMAL if stacked else shapes.StackingMode.NONE).group("A")
    )
    panel.legend(
        common.VizLegendOptions()
        .display_mode(shapes.LegendDisplayMode.TABLE)
        .placement(shapes.LegendPlacement.BOTTOM)
        .show_legend(True)
        .calcs(["lastNotNull", "max"])
        .sort_by("Max")
        .sort_desc(True)
    )
    panel.tooltip(common.VizTooltipOptions().mode(shapes.TooltipDisplayMode.MULTI).sort(shapes.SortOrder.DESCENDING))
    if line_at is not None:
        steps = [(None, "transparent"), (line_at, BAD)]
    if steps is not None:
        # The name of the enumeration differs between the SDK's versions.
        style = common.GraphThresholdsStyleConfig().mode("dashed")  # type: ignore[arg-type]
        panel.thresholds(_thresholds(steps)).thresholds_style(style)
    for name, color in LINE_COLORS.items():
        if any(query.legend in (name, "{{outcome}}") for query in queries):
            panel.override_by_name(name, [_fixed_color(color)])
    return panel


def states(
    title: str,
    description: str,
    *queries: Query,
    words: Mapping[str, tuple[str, str]],
    links: Sequence[DashboardLink] = (),
    data_links: Sequence[DashboardLink] = (),
    nothing: str = "nothing to show",
    width: int = 24,
    height: int = 7,
) -> statetimeline.Panel:
    """Return one bar a series, coloured by its state over time."""
    panel = _dress(statetimeline.Panel(), title, description, queries, width, height, links)
    panel.mappings(_words(words)).no_value(nothing).data_links(list(data_links))
    panel.thresholds(_thresholds(PLAIN)).color_scheme(_by_threshold())
    panel.show_value(shapes.VisibilityMode.AUTO).merge_values(True).row_height(0.8).fill_opacity(80).line_width(0)
    panel.align_value(shapes.TimelineValueAlignment.LEFT)
    panel.legend(
        common.VizLegendOptions()
        .display_mode(shapes.LegendDisplayMode.LIST)
        .placement(shapes.LegendPlacement.BOTTOM)
        .show_legend(False)
        .calcs([])
    )
    return panel.tooltip(common.VizTooltipOptions().mode(shapes.TooltipDisplayMode.SINGLE).sort(shapes.SortOrder.NONE))


def heat(title: str, description: str, expr: str, *, unit: str, width: int = 12, height: int = 8) -> heatmap.Panel:
    """Return a heat map of a histogram; ``expr`` is its buckets by ``le``."""
    panel = _dress(heatmap.Panel(), title, description, [Query(expr, "{{le}}", heatmap=True)], width, height, ())
    panel.no_value("nothing in this time").calculate(False).cell_gap(1).hide_legend()
    if hasattr(panel, "show_tooltip"):  # newer SDKs show it by themselves
        panel.show_tooltip()
    panel.color(
        heatmap.HeatmapColorOptions()
        .mode(HeatmapColorMode.SCHEME)
        .scheme("Oranges")
        .fill("dark-orange")
        .exponent(0.5)
        .steps(64)
        .reverse(False)
    )
    panel.y_axis(heatmap.YAxisConfig().unit(unit).axis_placement(shapes.AxisPlacement.LEFT))
    panel.rows_frame(heatmap.RowsHeatmapOptions().layout(shapes.HeatmapCellLayout.AUTO))
    return panel.filter_values(heatmap.FilterValueRange().le(1e-9))


def bars(
    title: str,
    description: str,
    query: Query,
    *,
    unit: str,
    steps: Steps,
    top: float,
    links: Sequence[DashboardLink] = (),
    nothing: str = "no data",
    width: int = 12,
    height: int = 8,
) -> bargauge.Panel:
    """Return one bar a series, its newest value."""
    panel = _dress(bargauge.Panel(), title, description, [query], width, height, links)
    panel.unit(unit).min(0).max(top).no_value(nothing).thresholds(_thresholds(steps)).color_scheme(_by_threshold())
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False).fields(""))
    panel.orientation(shapes.VizOrientation.HORIZONTAL).display_mode(shapes.BarGaugeDisplayMode.BASIC)
    return panel.value_mode(shapes.BarGaugeValueMode.COLOR).show_unfilled(True)


class Column:
    """One column of a table: a query whose series have the table's key as label, and how its cells look."""

    def __init__(
        self,
        name: str,
        expr: str,
        *,
        unit: str = "short",
        steps: Steps = PLAIN,
        words: Mapping[str, tuple[str, str]] | None = None,
    ) -> None:
        self.name, self.query = name, Query(expr, table=True)
        self._unit, self._steps, self._words = unit, steps, words

    def properties(self) -> list[DynamicConfigValue]:
        """Return what distinguishes its cells: unit, colours, words."""
        properties = [DynamicConfigValue("unit", self._unit)]
        if self._words:
            properties.append(DynamicConfigValue("mappings", _words(self._words)))
        if self._words or self._steps is not PLAIN:
            cell = {"type": shapes.TableCellDisplayMode.COLOR_BACKGROUND, "mode": "basic"}
            properties.append(DynamicConfigValue("custom.cellOptions", cell))
            properties.append(DynamicConfigValue("thresholds", _thresholds(self._steps).build()))
        return properties


def rows_of(
    title: str,
    description: str,
    key: str,
    *columns: Column,
    link: DashboardLink | None = None,
    links: Sequence[DashboardLink] = (),
    sort_by: str,
    nothing: str = "none",
    width: int = 24,
    height: int = 9,
) -> table.Panel:
    """Return a table with a row for each value of the label ``key``, and a cell for each column."""
    panel = _dress(table.Panel(), title, description, [column.query for column in columns], width, height, links)
    names = {f"Value #{ref}": column.name for ref, column in zip(string.ascii_uppercase, columns, strict=False)}
    if len(columns) == 1:
        names = {"Value": columns[0].name}
    organize: dict[str, object] = {
        "excludeByName": {"Time": True},
        "indexByName": {name: n for n, name in enumerate([key, *names])},
        "renameByName": {key: key.capitalize(), **names},
    }
    panel.transformations(
        [
            DataTransformerConfig(id_val="merge", options={}),
            DataTransformerConfig(id_val="organize", options=organize),
        ]
    )
    for column in columns:
        panel.override_by_name(column.name, column.properties())
    if link is not None:
        panel.override_by_name(key.capitalize(), [DynamicConfigValue("links", [link.build()])])
    return _sorted(panel.no_value(nothing), sort_by)


def labels_of(
    title: str,
    description: str,
    expr: str,
    *,
    columns: Mapping[str, str],
    colors: Mapping[str, Mapping[str, tuple[str, str]]],
    link_on: str,
    link: DashboardLink,
    nothing: str,
    width: int = 12,
    height: int = 8,
) -> table.Panel:
    """Return a table of series: their labels alone, those of ``columns`` under the names given there."""
    panel = _dress(table.Panel(), title, description, [Query(expr, table=True)], width, height, ())
    panel.transformations(
        [
            DataTransformerConfig(id_val="filterFieldsByName", options={"include": {"names": list(columns)}}),
            DataTransformerConfig(
                id_val="organize",
                options={
                    "excludeByName": {},
                    "indexByName": {name: n for n, name in enumerate(columns)},
                    "renameByName": dict(columns),
                },
            ),
        ]
    )
    for name, words in colors.items():
        cell = {"type": shapes.TableCellDisplayMode.COLOR_BACKGROUND, "mode": "basic"}
        properties = [DynamicConfigValue("mappings", _words(words)), DynamicConfigValue("custom.cellOptions", cell)]
        panel.override_by_name(name, properties)
    panel.override_by_name(link_on, [DynamicConfigValue("links", [link.build()])])
    return panel.unit("string").no_value(nothing).show_header(True)


def _dress(
    panel: P,
    title: str,
    description: str,
    queries: Sequence[Query],
    width: int,
    height: int,
    links: Sequence[DashboardLink],
) -> P:
    panel.title(title).description(description).datasource(DATASOURCE).span(width).height(height)
    panel.targets([query.target(ref_id) for ref_id, query in zip(string.ascii_uppercase, queries, strict=False)])
    return panel.links(list(links)) if links else panel


def _sorted(panel: table.Panel, column: str) -> table.Panel:
    panel.cell_height(shapes.TableCellHeight.SM).show_header(True)
    return panel.sort_by([common.TableSortByFieldState().display_name(column).desc(True)])


def _thresholds(steps: Steps) -> ThresholdsConfig:
    return ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps([Threshold(value, color) for value, color in steps])


def _by_threshold() -> FieldColor:
    return FieldColor().mode(FieldColorModeId.THRESHOLDS)


def _fixed_color(color: str) -> DynamicConfigValue:
    return DynamicConfigValue("color", {"mode": "fixed", "fixedColor": color})


def _words(words: Mapping[str, tuple[str, str]]) -> list[ValueMapping]:
    results = {
        value: ValueMappingResult(text=text, color=color, index=n)
        for n, (value, (text, color)) in enumerate(words.items())
    }
    return [ValueMap(options=results)]
