"""The secrets of a first try: made up for the sources that have none, and kept in the data directory."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

from headrace.context import Settings
from headrace.secrets import SECRETS_FILE, SecretError, read_secrets_file

if TYPE_CHECKING:
    from headrace.config import RoutingTable
    from ingest.source_settings import SourceSettings

SIGNING_KEY_SUFFIX = "_SIGNING_KEY"  # of a provider that signs with a private key, to try it out


def generate_missing(settings: Settings, table: RoutingTable) -> list[str]:
    """Write a random secret for every source none of whose secrets is set, and return the names of the variables.

    For `headrace run` with the embedded Kafka alone: anything else refuses to start without its secrets. The file,
    ``<data_dir>/secrets.env``, is readable by its owner alone, and read by every later command.

    Raises:
        SecretError: the file cannot be read or written.
    """
    made_up: dict[str, str] = {}
    for source in table.sources.values():
        if not any(settings.secret(name) for name in source.secret_envs):
            for name in source.secret_envs:
                made_up.setdefault(name, "")
                made_up.update(_made_up(source, name) if not made_up[name] else {})
        for name in source.option_secret_envs().values():
            if not settings.secret(name):
                made_up.setdefault(name, secrets.token_hex(32))
    if made_up:
        _write(settings, {**read_secrets_file(settings.data_dir), **made_up})
    return list(made_up)


def _made_up(source: SourceSettings, name: str) -> dict[str, str]:
    """Return a secret of the form that the source's scheme wants, and the key that signs for it if that is another."""
    from ingest.scheme import load_scheme

    scheme = load_scheme(source.scheme)
    if scheme.make_keys is not None:
        signing_key, secret = scheme.make_keys()
        return {name: secret.decode(), f"{name}{SIGNING_KEY_SUFFIX}": signing_key.decode()}
    if scheme.make_secret is not None:
        return {name: scheme.make_secret(secrets.token_bytes).decode()}
    return {name: secrets.token_hex(32)}


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
