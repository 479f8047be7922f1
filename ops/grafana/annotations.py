"""What happened, drawn over every graph: deployments, starts of processes, open circuits."""

from __future__ import annotations

from dataclasses import dataclass

from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import AnnotationQuery

from ops.grafana.variables import DATASOURCE

# Annotations are asked at this distance: what is shorter may be missed.
STEP = "15s"


class PrometheusAnnotation(AnnotationQuery):
    """An annotation with what Prometheus' plugin adds to it: the SDK's model of this Grafana has none of it."""

    title_format: str = ""
    text_format: str = ""
    tag_keys: str = ""
    value_is_time: bool = False

    def to_json(self) -> dict[str, object]:
        """Return it as Grafana's plugin reads it."""
        return super().to_json() | {
            "step": STEP,
            "titleFormat": self.title_format,
            "textFormat": self.text_format,
            "tagKeys": self.tag_keys,
            "useValueForTime": self.value_is_time,
        }


@dataclass(frozen=True, slots=True)
class Annotation(Builder[AnnotationQuery]):
    """A mark wherever ``expr`` has a value above 0; a region where it has one for longer."""

    name: str
    expr: str
    color: str
    title: str
    text: str
    tags: str
    value_is_time: bool = False

    def build(self) -> AnnotationQuery:
        """Return it as Grafana wants it."""
        query = PrometheusAnnotation(name=self.name, datasource=DATASOURCE, icon_color=self.color, expr=self.expr)
        query.title_format, query.text_format, query.tag_keys = self.title, self.text, self.tags
        query.value_is_time = self.value_is_time
        return query


def marks() -> list[Annotation]:
    """Return those of every dashboard."""
    return [
        Annotation(
            "Deployments",
            # A version that was not there five minutes ago: a region from its first process on.
            "count by (version) (headrace_build_info) unless count by (version) (headrace_build_info offset 5m)",
            "blue",
            "Version {{version}}",
            "Headrace {{version}} began to run",
            "version",
        ),
        Annotation(
            "Starts",
            'process_start_time_seconds{job=~"headrace-.*"} * 1000',
            "light-blue",
            "{{job}} started",
            "{{instance}}",
            "job",
            value_is_time=True,
        ),
        Annotation(
            "Open circuits",
            "max by (destination) (headrace_circuit_open) == 1",
            "red",
            "Circuit of {{destination}} is open",
            "Nothing is sent there; its deliveries wait",
            "destination",
        ),
    ]
