"""The file of a service's prices: the one that comes with Headrace, or the user's own."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from headrace.document import read_document
from headrace.mistakes import ConfigError, Mistake, written
from headrace.pricing import Pricing

FILE = "zapier.yaml"


class NoPriceTable(Exception):
    """The table of prices that comes with Headrace is not there: the installation is not whole."""


def own_price_table() -> Path:
    """Return where the table that comes with Headrace is: in a checkout, or beside the installed package.

    Raises:
        NoPriceTable: it is in neither.
    """
    package = Path(__file__).parent
    for path in (package.parent / "ops" / "pricing" / FILE, package / "price_tables" / FILE):
        if path.is_file():
            return path
    raise NoPriceTable("the table of Zapier's prices is not installed: give one with --plan FILE")


def read_pricing(path: Path | None = None) -> Pricing:
    """Return the prices in ``path``, or those that come with Headrace.

    Raises:
        ConfigError: the file cannot be read, or is no table of prices; with every mistake and its line.
        NoPriceTable: ``path`` is not given, and none came with Headrace.
    """
    path = path or own_price_table()
    if not path.is_file():
        raise ConfigError(path, [Mistake(0, "", "there is no such file")])
    node, mistakes = read_document(path)
    if mistakes:
        raise ConfigError(path, mistakes)
    try:
        return Pricing.model_validate(node.plain())
    except ValidationError as error:
        found = []
        for one in error.errors():
            keys = tuple(one["loc"])
            found.append(Mistake(node.line_of(keys), written(keys), one["msg"].removeprefix("Value error, ")))
        raise ConfigError(path, found) from None
