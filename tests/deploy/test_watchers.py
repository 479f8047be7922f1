"""Prometheus, Alertmanager and the proxy with the arguments, files and health checks of docker-compose.yml.

Grafana is in no Debian: its files are checked in tests/ops, its paths here.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.deploy.container import COMPOSE, ROOT, Container, placed, service
from tests.harness import free_port, wait_until
from tests.tools import find_tool

PROGRAMS = {"prometheus": ("prometheus", 9090), "alertmanager": ("prometheus-alertmanager", 9093)}


@pytest.mark.parametrize("name", PROGRAMS)
def test_it_becomes_healthy_and_ends(name: str, tmp_path: Path) -> None:
    program, there = PROGRAMS[name]
    described, port = service(name), free_port()
    places = {
        f"/etc/{name}": str(ROOT / "ops" / name),
        "path=/prometheus": f"path={tmp_path}/data",
        "path=/alertmanager": f"path={tmp_path}/data",
        f"127.0.0.1:{there}": f"127.0.0.1:{port}",
    }
    assert f"./ops/{name}:/etc/{name}:ro" in described["volumes"]
    command = placed(described["command"], places)
    command = [str(find_tool(program)), *command, f"--web.listen-address=127.0.0.1:{port}"]
    container = Container(command, {}, tmp_path, name)
    try:
        find_tool("wget")
        check = placed(described["healthcheck"]["test"], places)
        wait_until(lambda: container.healthy(check), 60, 0.3)
        assert container.end() in (0, -15)
    finally:
        container.process.kill()


def test_grafana_reads_what_is_mounted() -> None:
    grafana = service("grafana")
    mounted = {target: ROOT / source for source, target, *_ in (one.split(":") for one in grafana["volumes"])}
    provisioning = mounted["/etc/grafana/provisioning"]
    dashboards = yaml.safe_load((provisioning / "dashboards" / "headrace.yaml").read_text())
    path = dashboards["providers"][0]["options"]["path"]
    assert list(mounted[path].glob("*.json"))
    sources = yaml.safe_load((provisioning / "datasources" / "headrace.yaml").read_text())["datasources"]
    hosts = {source["url"].removeprefix("http://").partition(":")[0] for source in sources}
    assert hosts <= set(COMPOSE["services"])


def test_prometheus_is_told_of_services_that_are_there_and_can_reach_them() -> None:
    jobs = yaml.safe_load((ROOT / "ops" / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    names = {name for job in jobs for one in job.get("dns_sd_configs", ()) for name in one["names"]}
    names |= {
        target.partition(":")[0] for job in jobs for one in job.get("static_configs", ()) for target in one["targets"]
    } - {"localhost"}
    reached = set(service("prometheus")["networks"])
    assert {"ingest", "worker"} <= names
    for name in names:
        assert reached & set(service(name)["networks"]), name
