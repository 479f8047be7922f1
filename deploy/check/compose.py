"""What docker-compose.yml says, and the rules that every service in it keeps."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

Compose = dict[str, Any]

PUBLISHED = {"proxy", "grafana"}  # all that can be reached from outside
_PINNED = re.compile(r"[\w./-]+:v?\d+\.\d+\.\d+[\w.-]*(@sha256:[0-9a-f]{64})?")
_VARIABLE = re.compile(r"\$\{(\w+)(?::?-([^}]*))?\}")


def load(path: Path) -> Compose:
    """Return the file with its anchors resolved, and variables as they stand."""
    compose: Compose = yaml.safe_load(path.read_text())
    return compose


def resolve(value: Any, environ: Mapping[str, str] | None = None) -> Any:
    """Return ``value`` with every ``${NAME:-default}`` in it filled in, as compose does."""
    given = environ or {}
    if isinstance(value, str):
        return _VARIABLE.sub(lambda match: given.get(match[1]) or match[2] or "", value)
    if isinstance(value, list):
        return [resolve(item, given) for item in value]
    if isinstance(value, dict):
        return {key: resolve(item, given) for key, item in value.items()}
    return value


def read_env(path: Path) -> dict[str, str]:
    """Return the variables of an ``.env`` file."""
    lines = [line for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def for_1_29(compose: Compose) -> Compose:
    """Return what docker-compose 1.29 knows of the file: it is older than ``name`` and optional dependencies."""
    known = {key: value for key, value in compose.items() if key != "name" and not key.startswith("x-")}
    known["services"] = {name: _for_1_29(service) for name, service in compose["services"].items()}
    return known


def _for_1_29(service: Compose) -> Compose:
    wanted = {n: d for n, d in service.get("depends_on", {}).items() if d.get("required", True)}
    return {**{key: value for key, value in service.items() if key != "depends_on"}, "depends_on": wanted}


def mistakes(compose: Compose) -> Iterator[str]:
    """Yield every rule that a file broke."""
    internal = {name for name, network in compose["networks"].items() if (network or {}).get("internal")}
    for name, service in compose["services"].items():
        for mistake in (*_hardening(service), *_life(service), *_secrets(service)):
            yield f"{name}: {mistake}"
        if bool(service.get("ports")) != (name in PUBLISHED) or len(service.get("ports", ())) > 1:
            yield f"{name}: one port each of {' and '.join(sorted(PUBLISHED))} is published, and no other"
        if name.startswith(("kafka", "prometheus")) and not set(service["networks"]) <= internal:
            yield f"{name}: it is on a network that leads outside"
    used = {secret for service in compose["services"].values() for secret in service.get("secrets", ())}
    for secret in compose["secrets"].keys() ^ used:
        yield f"secret {secret}: it is not both declared and used"


def _hardening(service: Compose) -> Iterator[str]:
    image = resolve(service["image"])
    if "build" not in service and not _PINNED.fullmatch(image):
        yield f"image {image} is not pinned to a full version"
    if re.match(r"(root|0)?(:|$)", service.get("user", "")):
        yield "it runs as root, or as whatever its image says"
    if service.get("read_only") is not True:
        yield "its file system can be written"
    if service.get("cap_drop") != ["ALL"] or service.get("cap_add") or service.get("privileged"):
        yield "it has capabilities"
    if "no-new-privileges:true" not in service.get("security_opt", ()):
        yield "it may gain privileges"


def _life(service: Compose) -> Iterator[str]:
    if service.get("restart") != "unless-stopped":
        yield "it is not started again when it dies"
    if not {"cpus", "memory"} <= service.get("deploy", {}).get("resources", {}).get("limits", {}).keys():
        yield "it has no limits of processor and memory"
    if "healthcheck" not in service and "build" not in service:
        yield "it has no health check"
    if not {"max-size", "max-file"} <= service.get("logging", {}).get("options", {}).keys():
        yield "its log grows without end"


def _secrets(service: Compose) -> Iterator[str]:
    named = {
        str(value).removeprefix("/run/secrets/")
        for key, value in (service.get("environment") or {}).items()
        if key.endswith("_FILE") and str(value).startswith("/run/secrets/")
    }
    if named != set(service.get("secrets", ())):
        yield "the secrets that it names are not those that it may read"
