"""The secrets of a first try: made up for the sources that have none, and kept in the data directory."""

from __future__ import annotations

import os
import secrets

from headrace.config import RoutingTable
from headrace.context import Settings
from headrace.secrets import SECRETS_FILE, SecretError, read_secrets_file


def generate_missing(settings: Settings, table: RoutingTable) -> list[str]:
    """Write a random secret for every source none of whose secrets is set, and return their names.

    For `headrace run` with the embedded Kafka alone: anything else refuses to start without its secrets. The file,
    ``<data_dir>/secrets.env``, is readable by its owner alone, and read by every later command.

    Raises:
        SecretError: the file cannot be read or written.
    """
    names = [
        name
        for source in table.sources.values()
        if not any(settings.secret(name) for name in source.secret_envs)
        for name in source.secret_envs
    ]
    names = list(dict.fromkeys(names))
    if names:
        # 64 hex digits are also valid Base64, which some schemes expect.
        _write(settings, {**read_secrets_file(settings.data_dir), **{name: secrets.token_hex(32) for name in names}})
    return names


def _write(settings: Settings, values: dict[str, str]) -> None:
    path = settings.data_dir / SECRETS_FILE
    scratch = path.with_suffix(".tmp")
    lines = ["# Made by headrace run for trying it out. The environment wins over this file.\n"]
    lines += [f"{name}={value}\n" for name, value in values.items()]
    try:
        scratch.unlink(missing_ok=True)
        with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.writelines(lines)
        scratch.replace(path)
    except OSError as error:
        raise SecretError(f"{path} cannot be written: {error.strerror}") from error
