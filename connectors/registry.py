"""Which connectors there are: the files in ``connectors/actions/``, by name. No list to keep."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence

import connectors.actions
from connectors.connector import Connector


class UnknownConnector(LookupError):
    """No file in ``connectors/actions/`` has this name; ``known`` are those that there are."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(f"there is no connector {name!r} (there are: {', '.join(known)})")
        self.name = name
        self.known = list(known)


def connector_names() -> list[str]:
    """Return the names of all connectors, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(connectors.actions.__path__))


def load_connector(name: str) -> Connector:
    """Return the connector declared in ``connectors/actions/<name>.py``.

    Raises:
        UnknownConnector: there is no such file.
    """
    names = connector_names()
    if name not in names:
        raise UnknownConnector(name, names)
    module = importlib.import_module(f"connectors.actions.{name}")
    for declared in vars(module).values():
        if isinstance(declared, Connector) and declared.name == name:
            return declared
    raise UnknownConnector(name, [known for known in names if known != name])
