"""The dashboards as they are checked in, taken apart: panels, queries, and what Grafana puts in for variables."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.grafana.__main__ import DIRECTORY

PATHS = sorted(DIRECTORY.glob("*.json"))
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_]\w*)(?::\w+)?\}|([A-Za-z_]\w*))")


@dataclass(frozen=True)
class Board:
    """One dashboard."""

    path: Path
    json: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def variables(self) -> list[Mapping[str, Any]]:
        return list(self.json["templating"]["list"])

    def panels(self) -> Iterator[Mapping[str, Any]]:
        """Yield every panel, those inside of a collapsed row too, but the rows themselves."""
        for panel in self.json["panels"]:
            if panel["type"] != "row":
                yield panel
            yield from panel.get("panels", ())

    def queries(self) -> Iterator[tuple[str, str]]:
        """Yield the name and the expression of every query: of panels, variables and annotations."""
        for panel in self.panels():
            for target in panel["targets"]:
                yield f"{self.name} / {panel['title']} / {target['refId']}", target["expr"]
        for annotation in self.json["annotations"]["list"]:
            yield f"{self.name} / annotation {annotation['name']}", annotation["expr"]
        for variable in self.variables:
            if variable["type"] == "query":
                yield f"{self.name} / variable {variable['name']}", variable["query"]


def boards() -> list[Board]:
    """Return every dashboard."""
    return [Board(path, json.loads(path.read_text())) for path in PATHS]


def filled_in(expr: str, *, window: str, span: str, chosen: Mapping[str, str]) -> str:
    """Return ``expr`` with its variables replaced, as Grafana does.

    ``window`` stands for ``$__rate_interval``, ``span`` for ``$__range``; ``chosen`` holds the dashboard's own. What
    ``label_values(metric, label)`` asks Prometheus for is the metric.
    """
    span_s = str(int(span[:-1]) * {"s": 1, "m": 60, "h": 3600}[span[-1]])
    values = {"__rate_interval": window, "__interval": window, "__range": span, "__range_s": span_s, **chosen}
    if label_values := re.fullmatch(r"label_values\((.+),\s*\w+\)", expr):
        expr = label_values[1]
    return _VARIABLE.sub(lambda found: values[found[1] or found[2]], expr)
