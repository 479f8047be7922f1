"""Seeing alerts fire: in Prometheus, and arrived at Alertmanager."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.harness import eventually
from tests.ops.monitoring import Alertmanager, Prometheus


@dataclass
class Watch:
    """Notes each alert that is seen to fire."""

    prometheus: Prometheus
    alertmanager: Alertmanager
    seen: dict[str, dict[str, str]] = field(default_factory=dict)

    async def fires(self, name: str, *, timeout_s: float = 90, **labels: str) -> dict[str, str]:
        """Return the labels of the alert ``name`` with ``labels`` once it fires and Alertmanager has it."""
        wanted = {"alertname": f"Headrace{name}", **labels}

        def matching(alerts: list[dict[str, str]]) -> list[dict[str, str]]:
            return [one for one in alerts if wanted.items() <= one.items()]

        async def arrived() -> dict[str, str] | None:
            assert matching(await self.prometheus.firing()), f"{wanted} does not fire"
            found = matching(await self.alertmanager.alerts())
            assert found, f"{wanted} has not arrived"
            return found[0]

        found = await eventually(arrived, timeout_s, pause_s=0.5)
        assert found is not None
        key = f"{name} {found['severity']}"
        print(f"fired: {key} {sorted(labels.items())}")
        self.seen[key] = found
        return found

    async def told(self) -> set[str]:
        """Return the names of the pages that somebody is told of now: fired, and not held back."""
        alerts = await self.alertmanager.alerts(told=True)
        return {one["alertname"].removeprefix("Headrace") for one in alerts if one["severity"] == "page"}
