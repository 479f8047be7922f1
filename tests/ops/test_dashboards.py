"""Each dashboard is what the code makes, valid for Grafana, and keeps the rules of Grafana's dashboard-linter.

The linter itself (github.com/grafana/dashboard-linter) is a Go program that few machines have, so its rules are here,
under its names; ``.lint`` beside the dashboards says which do not hold and why, for it and for these tests.
"""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from ops.grafana import annotations
from ops.grafana.__main__ import DIRECTORY, differences
from tests.ops import rules
from tests.ops.boards import Board, boards, filled_in

GRID_COLUMNS = 24
# What the model of the SDK does not have of Prometheus' annotations (ops/grafana/annotations.py says so).
ANNOTATION_EXTRAS = {"step", "titleFormat", "textFormat", "tagKeys", "useValueForTime"}
COUNTER = re.compile(r"\b(\w+_(?:total|count|sum|bucket))\b")
BOARDS = boards()

each_board = pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)


def excluded(rule: str) -> bool:
    return rule in yaml.safe_load((DIRECTORY / ".lint").read_text())["exclusions"]


def test_files_are_what_the_code_makes() -> None:
    assert differences() == []


@each_board
def test_is_valid_for_grafana(board: Board) -> None:
    """Read into Grafana's own schema, as its SDK has it, and written again, it is the same: nothing is unknown."""
    register_default_plugins()
    written = json.loads(json.dumps(Dashboard.from_json(dict(board.json)), cls=JSONEncoder))
    assert list(changes(board.json, written)) == []


def changes(ours: Any, theirs: Any, place: str = "") -> Any:
    """Yield where ``theirs`` lost or changed something of ``ours``; empty objects that they add say nothing."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in ours:
            if key in theirs:
                yield from changes(ours[key], theirs[key], f"{place}/{key}")
            elif not (place.startswith("/annotations/list") and key in ANNOTATION_EXTRAS):
                yield f"{place}/{key} is lost"
        yield from (f"{place}/{key} is new" for key in theirs if key not in ours and theirs[key])
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for n, (our, their) in enumerate(zip(ours, theirs, strict=True)):
            yield from changes(our, their, f"{place}/{n}" if place.count("/") > 1 else place)
    elif ours != theirs:
        yield f"{place}: {ours!r} became {theirs!r}"


@each_board
def test_panels_do_not_overlap(board: Board) -> None:
    for panels in (board.json["panels"], *(row["panels"] for row in board.json["panels"] if row.get("panels"))):
        places = [(panel.get("title"), panel["gridPos"]) for panel in panels]
        for title, place in places:
            assert place["w"] > 0, title
            assert place["h"] > 0, title
            assert 0 <= place["x"] <= GRID_COLUMNS - place["w"], title
        for (one, a), (other, b) in itertools.combinations(places, 2):
            beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
            above = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
            assert beside or above, f"{one!r} lies over {other!r}"


@each_board
def test_rows_of_panels_fill_the_width(board: Board) -> None:
    """Panels that begin at one height fill the 24 columns: a gap looks like a panel that is missing."""
    widths: dict[int, int] = {}
    for panel in board.panels():
        place = panel["gridPos"]
        widths[place["y"]] = widths.get(place["y"], 0) + place["w"]
    assert {y: width for y, width in widths.items() if width % GRID_COLUMNS} == {}


@each_board
def test_ids_are_unique(board: Board) -> None:
    ids = [panel["id"] for panel in board.json["panels"]] + [panel["id"] for panel in board.panels()]
    numbers = {id_ for id_ in ids if id_}
    assert len(numbers) == len({id(panel) for panel in (*board.json["panels"], *board.panels())})


def test_uids_are_unique() -> None:
    assert len({board.json["uid"] for board in BOARDS}) == len(BOARDS) == 5


# The rules of grafana/dashboard-linter.


@each_board
def test_template_datasource_rule(board: Board) -> None:
    (source,) = [variable for variable in board.variables if variable["type"] == "datasource"]
    assert (source["name"], source["query"], source["label"]) == ("datasource", "prometheus", "Data source")


@each_board
def test_template_on_time_change_reload_rule(board: Board) -> None:
    queries = [variable for variable in board.variables if variable["type"] == "query"]
    assert [variable["refresh"] for variable in queries] == [2] * len(queries)


@each_board
@pytest.mark.parametrize("kind", ["job", "instance"])
def test_template_and_target_rules(board: Board, kind: str) -> None:
    if excluded(f"template-{kind}-rule"):
        assert excluded(f"target-{kind}-rule")
        return
    assert any(variable["name"] == kind for variable in board.variables)
    assert all(re.search(rf'\b{kind}=~"\${kind}"', expr) for _, expr in board.queries())


@each_board
def test_panel_datasource_rule(board: Board) -> None:
    sources = [panel["datasource"] for panel in board.panels()]
    sources += [annotation["datasource"] for annotation in board.json["annotations"]["list"]]
    sources += [variable["datasource"] for variable in board.variables if variable["type"] == "query"]
    assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in sources)


@each_board
def test_panel_title_description_rule(board: Board) -> None:
    assert [panel.get("title") for panel in board.panels() if not panel.get("title")] == []
    assert [panel["title"] for panel in board.panels() if len(panel.get("description", "")) < 10] == []
    titles = [panel["title"] for panel in board.panels() if panel["type"] not in ("stat", "table")]
    assert len(titles) == len(set(titles))
    assert board.json["description"]


@each_board
def test_panel_units_rule(board: Board) -> None:
    """Every number has a unit, or words for its values; a table has one for each column of numbers."""
    without = []
    for panel in board.panels():
        defaults = panel["fieldConfig"]["defaults"]
        if panel["type"] == "table":
            styled = [{one["id"] for one in override["properties"]} for override in panel["fieldConfig"]["overrides"]]
            words = sum("mappings" in properties and "unit" not in properties for properties in styled)
            good = "unit" in defaults or sum("unit" in properties for properties in styled) == len(panel["targets"])
            assert good or words, panel["title"]
        elif panel["type"] == "heatmap":
            good = bool(panel["options"]["yAxis"]["unit"])
        else:
            good = bool(defaults.get("unit") or defaults.get("mappings"))
        if not good:
            without.append(panel["title"])
    assert without == []


@each_board
def test_panel_no_targets_rule(board: Board) -> None:
    assert [panel["title"] for panel in board.panels() if not panel["targets"]] == []
    for panel in board.panels():
        refs = [target["refId"] for target in panel["targets"]]
        assert len(refs) == len(set(refs)), panel["title"]


@each_board
def test_target_rate_interval_rule(board: Board) -> None:
    """A rate over a graph uses $__rate_interval; $__range is for one number over the time that is shown."""
    for name, expr in board.queries():
        for function, window in re.findall(r"\b(rate|irate|increase|deriv)\([^\[]*\[([^\]]+)\]", expr):
            allowed = (
                {"$__rate_interval"} if function in ("rate", "irate", "deriv") else {"$__rate_interval", "$__range"}
            )
            assert window in allowed, name


@each_board
def test_target_counter_agg_rule(board: Board) -> None:
    """A counter is only looked at through rate or increase."""
    for name, expr in board.queries():
        if name.endswith(("variable source", "variable destination", "variable instance")):
            continue
        bare = re.sub(r"\b(?:rate|irate|increase)\([^()]*(?:\([^()]*\)[^()]*)*\)", "", expr)
        labels_gone = re.sub(r"\{[^}]*\}", "", bare)
        counters = [one for one in COUNTER.findall(labels_gone) if one.startswith(("headrace_", "process_"))]
        assert counters == [], name


@each_board
def test_uneditable_dashboard_rule(board: Board) -> None:
    assert board.json["editable"] is False


def test_target_promql_rule() -> None:
    """Every expression parses, as Prometheus' own parser has it."""
    exprs = [(name, expr) for board in BOARDS for name, expr in board.queries()]
    chosen = dict.fromkeys(("source", "destination", "instance"), ".*")
    written = [
        {"record": f"checked:{n}", "expr": filled_in(expr, window="1m", span="1h", chosen=chosen)}
        for n, (_, expr) in enumerate(exprs)
    ]
    rules.promtool_accepts({"groups": [{"name": "queries", "rules": written}]})


# Our own.


@each_board
def test_links_lead_somewhere(board: Board) -> None:
    uids = {other.json["uid"]: {variable["name"] for variable in other.variables} for other in BOARDS}
    alerts = {alert["alert"] for alert in rules.alerts()}
    urls = re.findall(r'"url": "([^"]+)"', json.dumps(board.json))
    assert urls
    for url in urls:
        if dashboard := re.fullmatch(r"/d/([^?]+)\?(.*)", url):
            assert dashboard[1] in uids, url
            assert set(re.findall(r"var-(\w+)=", dashboard[2])) <= uids[dashboard[1]], url
        elif url:
            runbook = re.fullmatch(r"\$\{runbooks:raw\}/(.+)\.md", url)
            assert runbook, url
            assert runbook[1] in alerts | {"${__value.raw}"}, url


@each_board
def test_every_other_dashboard_is_in_the_bar(board: Board) -> None:
    (bar,) = [link for link in board.json["links"] if link["type"] == "dashboards"]
    assert set(bar["tags"]) <= set(board.json["tags"])
    assert bar["keepTime"]
    assert bar["includeVars"]


@each_board
def test_deployments_and_open_circuits_are_marked(board: Board) -> None:
    names = {annotation["name"] for annotation in board.json["annotations"]["list"]}
    assert {"Deployments", "Open circuits"} <= names == {mark.name for mark in annotations.marks()}


@each_board
def test_variables_are_used(board: Board) -> None:
    text = json.dumps([board.json["panels"], board.json["annotations"]])
    for variable in board.variables:
        assert re.search(rf"\$\{{?{variable['name']}\b", text), variable["name"]


def test_the_line_of_200_ms_is_drawn() -> None:
    (ingest,) = [board for board in BOARDS if board.name == "ingest"]
    (panel,) = [panel for panel in ingest.panels() if panel["title"] == "Answer time"]
    assert [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]] == [None, 0.2]


def test_every_alert_is_linked_from_a_panel() -> None:
    """Who looks at a panel that is red finds what to do; HeadraceAftermath is never sent."""
    text = "".join(board.path.read_text() for board in BOARDS)
    names = {alert["alert"] for alert in rules.alerts()} - {"HeadraceAftermath"}
    assert [name for name in sorted(names) if f"/{name}.md" not in text] == []
