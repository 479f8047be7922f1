"""A query of a panel, and the parts that queries share."""

from __future__ import annotations

from dataclasses import dataclass

from grafana_foundation_sdk.builders import prometheus
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

WINDOW = "[$__rate_interval]"
RANGE = "[$__range]"
# For a topk over the whole range: without it the choice, and with it the lines, would change from point to point.
WHOLE_RANGE = "[$__range] @ end()"
SOURCE = 'source=~"$source"'
DESTINATION = 'destination=~"$destination"'


@dataclass(frozen=True, slots=True)
class Query:
    """What Prometheus is asked, and what its series are called.

    ``legend`` may name labels: ``{{destination}}``. ``instant`` asks for the newest value alone, as tables and bars
    want it; ``table`` for one row a series.
    """

    expr: str
    legend: str = ""
    instant: bool = False
    table: bool = False
    heatmap: bool = False

    def target(self, ref_id: str) -> prometheus.Dataquery:
        """Return it as Grafana wants it."""
        target = prometheus.Dataquery().expr(self.expr).ref_id(ref_id).legend_format(self.legend or "__auto")
        if self.instant or self.table:
            target.instant()
        else:
            target.range()
        if self.table:
            target.format(PromQueryFormat.TABLE)
        elif self.heatmap:
            target.format(PromQueryFormat.HEATMAP)
        return target


def quantile(share: float, histogram: str, matchers: str, *by: str) -> str:
    """Return a quantile over all series of a histogram, or one for each value of ``by``."""
    labels = ", ".join([*by, "le"])
    buckets = f"{histogram}_bucket{{{matchers}}}" if matchers else f"{histogram}_bucket"
    return f"histogram_quantile({share}, sum by ({labels}) (rate({buckets}{WINDOW})))"


def late_deliveries(matchers: str, window: str) -> str:
    """Return the share of the deliveries that ended in ``window`` without being settled within 60 s.

    As in ops/prometheus/rules/recording.yml: a settled replay has no age, and was late once already.
    """
    dead_letters = ", ".join(filter(None, [matchers, 'outcome="dead_lettered"']))
    in_time = ", ".join(filter(None, [matchers, 'le="60.0"']))
    settled = f"sum(increase(headrace_delivery_age_seconds_count{{{matchers}}}{window}))".replace("{}", "")
    ended = f"({settled} + sum(increase(headrace_deliveries_total{{{dead_letters}}}{window})))"
    return f"1 - sum(increase(headrace_delivery_age_seconds_bucket{{{in_time}}}{window})) / {ended}"


def destination_of(expr: str, label: str, pattern: str) -> str:
    """Return ``expr`` with the destination that ``pattern`` finds in ``label``."""
    return f'label_replace({expr}, "destination", "$1", "{label}", "{pattern}")'


QUEUE_OF_DESTINATION = ".*deliveries[.](.+?)([.]high)?"  # the one of high priority is the destination's too


def depth_by_destination(selected: str = "$destination") -> str:
    """Return the depth of each destination's queues, by ``destination``.

    Every part exports every depth, so it is their maximum: parts that look at other moments differ a little.
    """
    depth = f'max by (topic) (headrace_queue_depth{{topic=~".*deliveries[.]({selected})([.]high)?"}})'
    return f"sum by (destination) ({destination_of(depth, 'topic', QUEUE_OF_DESTINATION)})"
