"""Secrets: from the environment, from mounted files, and for the try-out table from a file in the data directory."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from headrace.regular_file import open_regular

SECRETS_FILE = "secrets.env"
SECRET_BYTES_MAX = 64 * 1024  # a private key fits; a wrong path to something large does not

_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=(.*)")


class SecretError(Exception):
    """A secret is missing or cannot be read. The text names the variable, never the value."""


def read_secret(name: str, environ: Mapping[str, str]) -> str | None:
    """Return the value of ``NAME``, else the content of the file that ``NAME_FILE`` names, else ``None``.

    An empty value counts as missing. One newline at the end of the file is not part of the secret.

    Raises:
        SecretError: the file cannot be read, is not a regular file, is empty, or is not UTF-8.
    """
    value = environ.get(name)
    if value:
        return value
    path = environ.get(f"{name}_FILE")
    return _read_file(f"{name}_FILE", Path(path)) if path else None


def resolve(names: Iterable[str], environ: Mapping[str, str], fallback: Mapping[str, str] | None = None) -> list[str]:
    """Return the value of each variable; ``fallback`` stands in for what the environment lacks.

    Raises:
        SecretError: at least one is missing; the text names every one that is.
    """
    values = [(name, read_secret(name, environ) or (fallback or {}).get(name)) for name in names]
    missing = [name for name, value in values if not value]
    if missing:
        raise SecretError(f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set in the environment")
    return [value for _, value in values if value]


def read_secrets_file(data_dir: Path) -> dict[str, str]:
    """Return the ``NAME=value`` lines of ``<data_dir>/secrets.env``; none if there is no such file.

    Raises:
        SecretError: it cannot be read.
    """
    path = data_dir / SECRETS_FILE
    try:
        with open_regular(path) as file:
            lines = file.read().decode().splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise SecretError(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8'}") from error
    found = (_LINE.fullmatch(line) for line in lines if not line.lstrip().startswith("#"))
    return {match[1]: match[2].strip() for match in found if match}


def _read_file(name: str, path: Path) -> str:
    try:
        with open_regular(path) as file:
            raw = file.read(SECRET_BYTES_MAX + 1)
        text = raw.decode().removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise SecretError(f"the file that {name} names cannot be read: {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SecretError(f"the file that {name} names is not UTF-8: {path}") from error
    if not text or len(raw) > SECRET_BYTES_MAX:
        raise SecretError(f"the file that {name} names is empty or larger than {SECRET_BYTES_MAX} bytes: {path}")
    return text
