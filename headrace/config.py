"""The routing table as a whole: read, checked in every part and across them, with every mistake at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from connectors.connector import DestinationSettings
from connectors.registry import connector_names, load_connector
from headrace.document import Node, read_document
from headrace.mirrors import mirror_destinations
from headrace.mistakes import ConfigError, Keys, Mistake, closest
from headrace.route_checks import Declared, check_routes
from headrace.schedule_checks import check_schedules
from headrace.section_checks import check_destination, check_name, check_reserved, check_source, unstable_addresses
from headrace.table_tests import TableTest
from headrace.validation import Findings
from ingest.scheme import load_scheme, scheme_names
from ingest.settings import IngestSettings
from ingest.sources import SourceSettings, source_model_for
from streams.event import OWN_SOURCE, SCHEDULES_SOURCE
from streams.routing import Routes, RouteSettings, compile_routes
from streams.schedule import Schedule, ScheduleSettings

VERSION = 1
SECTIONS = ("version", "ingest", "sources", "destinations", "routes", "schedules", "tests")

__all__ = ["ConfigError", "Mistake", "RoutingTable", "load_routing_table"]


@dataclass(frozen=True)
class RoutingTable:
    """A valid routing table. ``warnings`` are things that are allowed but hardly meant."""

    path: Path
    sources: Mapping[str, SourceSettings]
    destinations: Mapping[str, DestinationSettings]
    routes: list[RouteSettings]
    schedules: list[ScheduleSettings] = field(default_factory=list)
    warnings: list[Mistake] = field(default_factory=list)
    document: Node = field(default_factory=lambda: Node(0, {}), repr=False)
    ingest: IngestSettings = field(default_factory=IngestSettings)
    tests: list[TableTest] = field(default_factory=list)

    def compiled_routes(self) -> Routes:
        """Return the routes, ready to match and render."""
        return compile_routes(self.routes, self._url_paths)

    def _url_paths(self, route: RouteSettings) -> frozenset[str]:
        return load_connector(self.destinations[route.to].connector).actions[route.action].url_paths

    def compiled_schedules(self) -> list[Schedule]:
        """Return the schedules, ready to be fired."""
        return [Schedule(settings) for settings in self.schedules]

    @property
    def body_bytes_max(self) -> int:
        """The largest body of any source."""
        return max((source.body_bytes_max for source in self.sources.values()), default=1024 * 1024)

    @property
    def dedup_ttl_s_max(self) -> int:
        """The longest time for which any source's ids are remembered."""
        return max((source.dedup_ttl_s for source in self.sources.values()), default=7 * 24 * 3600)

    @property
    def dedup_ttl_s(self) -> dict[str, int]:
        """For how long each source's ids are remembered, by the sources that fan-out knows, own ones too."""
        own = dict.fromkeys(self.own_sources, self.dedup_ttl_s_max)
        return {**{name: source.dedup_ttl_s for name, source in self.sources.items()}, **own}

    @property
    def shadows(self) -> bool:
        """Whether any route may record what it would have called."""
        return any(not route.share.whole for route in self.routes)

    def mirrors(self, source: str) -> bool:
        """Return whether a mirror takes events of ``source``, so that their query is kept."""
        return any(route.mirror and (route.sources is None or source in route.sources) for route in self.routes)

    @property
    def own_sources(self) -> list[str]:
        """The sources that nobody posts to: Headrace's own, and that of the schedules if there are any."""
        return [OWN_SOURCE, SCHEDULES_SOURCE] if self.schedules else [OWN_SOURCE]

    @property
    def prioritized(self) -> frozenset[str]:
        """The destinations that a route of high priority leads to."""
        return frozenset(route.to for route in self.routes if route.priority == "high")

    @property
    def delays_s(self) -> list[int]:
        """Every delay of any destination, each once, ascending."""
        return sorted({delay for settings in self.destinations.values() for delay in settings.delays_s})

    def secret_envs(self) -> Iterator[tuple[Keys, list[str]]]:
        """Yield where secrets are named, and the names of their environment variables."""
        for name, source in self.sources.items():
            if source.secret_envs:
                yield ("sources", name, "secret_env"), source.secret_envs
            for key, env in source.option_secret_envs().items():
                yield ("sources", name, key), [env]
        for name, destination in self.destinations.items():
            for key, names in destination.secret_envs().items():
                yield ("destinations", name, key), names


def load_routing_table(path: Path, *, base_dir: Path | None = None) -> RoutingTable:
    """Return the routing table in ``path``; relative paths in it are of ``base_dir``, else of the file's directory.

    Raises:
        ConfigError: it is not valid; ``mistakes`` holds every mistake.
    """
    document, mistakes = read_document(path)
    findings = Findings(document)
    table = document.plain()
    if not isinstance(table, dict):
        findings.add((), "the routing table must be a mapping", f"with the keys {', '.join(SECTIONS[:5])}")
        raise ConfigError(path, [*mistakes, *findings.mistakes])
    _check_top(table, findings)
    sources = _sources(_section(table, "sources", findings), findings)
    destinations = _destinations(_section(table, "destinations", findings), findings, base_dir=base_dir or path.parent)
    schedules = check_schedules(table.get("schedules"), findings)
    ingest = _ingest(table.get("ingest"), findings)
    declared = _declared(table, destinations)
    routes, warnings = check_routes(table.get("routes"), declared, findings)
    tests = _tests(table.get("tests"), declared, routes, findings)
    destinations.update(mirror_destinations(routes))
    if mistakes or findings.mistakes:
        raise ConfigError(path, [*mistakes, *findings.mistakes])
    warnings = [*unstable_addresses(sources, ingest, document), *warnings]
    return RoutingTable(path, sources, destinations, routes, schedules, warnings, document, ingest, tests)


def _tests(value: object, declared: Declared, routes: list[RouteSettings], findings: Findings) -> list[TableTest]:
    if value is None:
        return []
    if not isinstance(value, list):
        findings.add(("tests",), "must be a list of tests")
        return []
    known = [route.name for route in routes]
    tests = []
    for index, entry in enumerate(value):
        keys = ("tests", index)
        if not isinstance(entry, dict):
            findings.add(keys, "must be a mapping with the keys name, source, event and expect")
            continue
        test = findings.validate(TableTest, entry, keys)
        if test is None:
            continue
        tests.append(test)
        sources = [*(declared.sources or []), OWN_SOURCE]
        if declared.sources is not None and test.source not in sources:
            findings.add((*keys, "source"), f"there is no source {test.source!r}", closest(test.source, sources))
        for place, expectation in enumerate(test.expect):
            if expectation.route not in known:
                found = (*keys, "expect", place, "route")
                findings.add(found, f"there is no route {expectation.route!r}", closest(expectation.route, known))
    return tests


def _check_top(table: Mapping[str, object], findings: Findings) -> None:
    for key in table:
        if key not in SECTIONS:
            findings.add((key,), "this key is not known here", closest(key, SECTIONS))
    if "version" not in table:
        findings.add((), "'version' is missing", "begin the file with 'version: 1'")
    elif table["version"] != VERSION or isinstance(table["version"], bool):
        findings.add(("version",), "this Headrace reads version 1 of the routing table", "write 'version: 1'")


def _declared(table: Mapping[str, object], settings: Mapping[str, DestinationSettings]) -> Declared:
    """Return what routes may name; a section that cannot be read allows everything, so that its mistake is one."""
    sources, destinations = (
        {} if table.get(section) is None else table[section] for section in ("sources", "destinations")
    )
    scheduled = [SCHEDULES_SOURCE] if table.get("schedules") else []
    return Declared(
        sources=[*sources, *scheduled] if isinstance(sources, dict) else None,
        partitioned=[name for name, entry in sources.items() if isinstance(entry, dict) and entry.get("partition_by")]
        if isinstance(sources, dict)
        else [],
        connectors={name: _connector_name(settings) for name, settings in destinations.items()}
        if isinstance(destinations, dict)
        else None,
        settings=settings,
    )


def _connector_name(settings: object) -> str | None:
    name = settings.get("connector") if isinstance(settings, dict) else None
    return name if isinstance(name, str) and name in connector_names() else None


def _section(table: Mapping[str, object], section: str, findings: Findings) -> dict[str, dict[str, object]]:
    """Return the entries of ``sources`` or ``destinations`` that can be looked at further."""
    value = table.get(section)
    if value is None:
        return {}
    if not isinstance(value, dict):
        findings.add((section,), f"must be a mapping from each of the {section} to its settings")
        return {}
    entries = {}
    for name, settings in value.items():
        check_name((section, name), name, findings)
        if section == "sources":
            check_reserved((section, name), name, findings)
        if isinstance(settings, dict):
            entries[name] = settings
        else:
            findings.add((section, name), "must be a mapping of settings")
    return entries


def _sources(entries: Mapping[str, dict[str, object]], findings: Findings) -> dict[str, SourceSettings]:
    sources = {}
    for name, value in entries.items():
        keys = ("sources", name)
        scheme_name = _chosen(value, "scheme", scheme_names(), keys, findings)
        if scheme_name is None:
            continue
        settings = findings.validate(source_model_for(scheme_name), value, keys)
        check_source(value, load_scheme(scheme_name), keys, findings)
        if settings is not None:
            sources[name] = settings
    return sources


def _ingest(value: object, findings: Findings) -> IngestSettings:
    if value is not None and not isinstance(value, dict):
        findings.add(("ingest",), "must be a mapping of settings")
        value = None
    return findings.validate(IngestSettings, value or {}, ("ingest",)) or IngestSettings()


def _destinations(
    entries: Mapping[str, dict[str, object]], findings: Findings, *, base_dir: Path
) -> dict[str, DestinationSettings]:
    destinations = {}
    for name, value in entries.items():
        keys = ("destinations", name)
        connector_name = _chosen(value, "connector", connector_names(), keys, findings)
        if connector_name is not None:
            model = load_connector(connector_name).settings_model
            settings = findings.validate(model, value, keys, base_dir=base_dir)
            if settings is not None:
                destinations[name] = settings
        check_destination(value, keys, findings)
    return destinations


def _chosen(
    value: Mapping[str, object], key: str, names: list[str], keys: tuple[str, ...], findings: Findings
) -> str | None:
    """Return the scheme or connector that an entry names, or note why there is none."""
    name = value.get(key)
    if name is None:
        findings.add(keys, f"{key!r} is missing", f"one of: {', '.join(names)}")
    elif not isinstance(name, str) or name not in names:
        findings.add((*keys, key), f"there is no {key} {name!r}", closest(name, names))
    else:
        return name
    return None
