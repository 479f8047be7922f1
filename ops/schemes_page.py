"""Write docs/reference/schemes.md from the schemes themselves, or with ``--check`` say whether it is current."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

from ingest.scheme import Scheme, load_scheme, scheme_names

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "schemes.md"
VECTORS = ROOT / "tests" / "ingest" / "vectors"
MADE_BY = {
    "published": "published",
    "recorded": "recorded",
    "sdk": "library",
    "other": "another's library",
    "openssl": "rule",
}
HEAD = """# Schemes

<!-- Written by `make schemes` from ingest/schemes/; do not edit. -->

How each provider signs, and what Headrace knows of it. `scheme: <name>` in a source is the file
`ingest/schemes/<name>.py`. Of a provider that is not here: `standard` verifies everybody who sends Standard Webhooks or
by Svix (Clerk, Resend, Brex, Supabase and many more), `hmac` an HMAC of the body in one header, `jwt`, `bearer` and
`basic` what their names say; for anything else, [add a scheme](../how-to/add-a-scheme.md).

- **id**: what makes two deliveries the same event. *signed* says that the signature covers it; otherwise id and body
  decide together. Without an id the SHA-256 of the body is it; that of the batch, and the place in it, for its items.
- **sent again**: for how long the provider repeats an event that was not answered with 2xx, as far as its documentation
  says; `dedup_ttl` may not be shorter, nor shorter than *time*. `?`: not said.
- **answer**: how long the provider waits, if it says so.
- **time**: how old or early a signed request may be; longer than *sent again* where the provider may send it again with
  its first timestamp. `-`: no time is signed, so that a captured request stays valid. Sent again as it is, it is
  dropped as a duplicate for as long as `dedup_ttl`.
- **proved by**: where the [test vectors](../../tests/ingest/vectors/README.md) are from. *published*: the documentation
  of the provider, the tests of its library, or an RFC. *recorded*: sent by the provider, and kept in the tests of
  somebody's library. *library*: made or accepted by the library, command line, server or sample of the provider, or the
  library of the standard. *another's library*: accepted by a library that others wrote to receive them. *rule*: made
  with openssl as the documentation says, so that our reading of it is all that is proved.

"""


def page() -> str:
    """Return the text of the page."""
    schemes = [load_scheme(name) for name in scheme_names()]
    rows = ["| scheme | id | sent again | answer | time | proved by |", "|---|---|---|---|---|---|"]
    rows += [_row(scheme) for scheme in schemes]
    return HEAD + "\n".join(rows) + "\n" + "".join(_section(scheme) for scheme in schemes)


def main(arguments: list[str]) -> int:
    """Write or check; return the exit code."""
    text = page()
    if arguments == ["--check"]:
        if PAGE.exists() and PAGE.read_text() == text:
            return 0
        sys.stderr.write("docs/reference/schemes.md is not what the schemes make: run make schemes\n")
        return 1
    PAGE.write_text(text)
    return 0


def _row(scheme: Scheme) -> str:
    event_id = "" if not scheme.id_at else f"`{scheme.id_at}`" + (", signed" if scheme.signed_id else "")
    time = "-" if scheme.timestamp_tolerance_s is None else _duration(scheme.timestamp_tolerance_s)
    again = _duration(scheme.retry_window_s) if scheme.retry_window_s else "?"
    answer = f"{scheme.answer_within_s:g} s" if scheme.answer_within_s is not None else ""
    link = f"[`{scheme.name}`](#{scheme.name})"
    without = "(the body)" if scheme.split is None else "(the batch and the place in it)"
    return f"| {link} | {event_id or without} | {again} | {answer} | {time} | {_proof(scheme.name)} |"


def _section(scheme: Scheme) -> str:
    module = importlib.import_module(f"ingest.schemes.{scheme.name}")
    parts = [f"\n## {scheme.name}\n", _markdown(scheme.doc)]
    facts = [f"The event's type: `{scheme.type_at}`." if scheme.type_at else "", *_exceptions(scheme)]
    for name, what in (("greeting", "Before the signature"), ("handshake", "Handshake"), ("challenge", "By GET")):
        if hasattr(module, name):
            facts.append(f"{what}: {_first_sentence(getattr(module, name).__doc__)}")
    if scheme.split is not None:
        facts.append("Batches: one event an item.")
    if scheme.kept_headers:
        facts.append(f"Kept headers: {', '.join(f'`{name}`' for name in scheme.kept_headers)}.")
    parts.append("\n".join(f"- {fact}" for fact in facts if fact) + "\n" if any(facts) else "")
    options = _options(scheme)
    parts.append("\n".join(options) + "\n" if options else "")
    parts.append(_example(scheme))
    return "\n".join(part for part in parts if part)


def _exceptions(scheme: Scheme) -> list[str]:
    facts = []
    if scheme.signed and not scheme.signs_body:
        facts.append("**The signature does not cover every byte of the body.**")
    if scheme.signs_url:
        facts.append("The public address is signed: set `public_url` of the source, or of `ingest`.")
    if scheme.document_hosts:
        facts.append(
            f"Fetches its certificate from {' or '.join(f'`{host}`' for host in scheme.document_hosts)} alone."
        )
    return facts


def _options(scheme: Scheme) -> list[str]:
    fields = scheme.options_model.model_fields
    if not fields:
        return []
    schema = scheme.options_model.model_json_schema()["properties"]
    rows = ["| key | default | |", "|---|---|---|"]
    for name, field in fields.items():
        default = "required" if field.is_required() else "none" if field.default is None else f"`{field.default!r}`"
        allowed = schema[name].get("enum")
        text = (field.description or "") + (f" One of {', '.join(allowed)}." if allowed else "")
        rows.append(f"| `{name}` | {default} | {text} |")
    return rows


def _example(scheme: Scheme) -> str:
    upper = scheme.name.upper()
    lines = [f"  {scheme.name}:", f"    scheme: {scheme.name}"]
    if scheme.needs_secret:
        lines.append(f"    secret_env: {upper}_SECRET")
    if not scheme.signed:
        lines.append("    allow_unsigned: true")
    if scheme.signs_url:
        lines.append(f"    public_url: https://hooks.example.com/webhook/{scheme.name}")
    for name, field in scheme.options_model.model_fields.items():
        if name.endswith("_env"):
            lines.append(f"    {name}: {upper}_{name.removesuffix('_env').upper()}")
        elif field.is_required():
            (example,) = field.examples or [""]  # the source that the page shows is a valid one
            lines.append(f"    {name}: {example}")
    return "```yaml\nsources:\n" + "\n".join(lines) + "\n```\n"


def _proof(name: str) -> str:
    path = VECTORS / f"{name}.json"
    made = {row["made_by"] for row in json.loads(path.read_text())} if path.exists() else set()
    better = made - {"openssl"} or made
    return ", ".join(text for key, text in MADE_BY.items() if key in better)


def _markdown(text: str) -> str:
    return text.replace("``", "`").strip().replace("\nSource:", "\n*Source:*") + "\n"


def _first_sentence(text: str | None) -> str:
    paragraph = " ".join((text or "").partition("\n\n")[0].split())
    return paragraph.replace("``", "`")


def _duration(seconds: int) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
