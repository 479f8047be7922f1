"""The scheme that docs/how-to/add-a-scheme.md shows works as it stands there, and passes the suite."""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import ingest.schemes
from ingest.scheme import load_scheme, scheme_names
from tests.ingest import test_scheme_suite as suite
from tests.ingest import test_vectors as vectors
from tests.ingest.conftest import make_source, secret_of, signed_request
from tests.ingest.vectors import vector_of

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "add-a-scheme.md").read_text()
CHECKS = [
    check
    for name, check in inspect.getmembers(suite, inspect.isfunction)
    if name.startswith("test_") and "name" in inspect.signature(check).parameters
]


@pytest.fixture(autouse=True)
def _acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "acme.py").write_text("\n\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)))
    monkeypatch.setattr(ingest.schemes, "__path__", [*ingest.schemes.__path__, str(tmp_path)])
    yield
    sys.modules.pop("ingest.schemes.acme", None)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_scheme_of_the_page_passes_the_suite(check: object, monkeypatch: pytest.MonkeyPatch) -> None:
    scheme = load_scheme("acme")
    about_others = {
        "test_a_public_key_signs_nothing_and_says_so": scheme.make_keys is None,
        "test_a_scheme_without_a_secret_takes_none": scheme.needs_secret,
        "test_another_address_is_refused_where_it_is_signed": not scheme.signs_url,
    }
    if about_others.get(check.__name__):  # type: ignore[attr-defined]  # a function
        return
    given = {"monkeypatch": monkeypatch} if "monkeypatch" in inspect.signature(check).parameters else {}  # type: ignore[arg-type]  # a function
    check(name="acme", **given)  # type: ignore[operator]  # a function


def test_the_vector_of_the_page_is_accepted_and_refused_as_every_other() -> None:
    (rows,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    for number, row in enumerate(json.loads(rows)):
        for check in (
            vectors.test_it_is_accepted_and_known,
            vectors.test_a_flipped_byte_is_refused,
            vectors.test_another_secret_is_refused,
            vectors.test_a_changed_header_of_the_proof_is_refused,
            vectors.test_it_is_refused_when_it_is_old_or_early,
        ):
            check(vector_of("acme", number, row))


def test_the_optional_parts_of_the_page_work() -> None:
    source = make_source("acme")
    ping = signed_request(source, b'{"type": "ping", "token": "t"}')
    answer = source.handshake(ping, {"type": "ping", "token": "t"}, secret=secret_of("acme"), now_s=0)
    assert answer is not None
    assert len(answer.body) == 64
    events = source.events(signed_request(source, b"[]"), [{"id": "a"}, {"id": "b", "type": "x"}], time_ms=0)
    assert [(event.id, event.type) for event in events] == [("a", "webhook"), ("b", "x")]


def test_the_examples_that_the_page_names_are_there_and_have_what_it_says() -> None:
    named = set(re.findall(r"`(\w+)\.py`", PAGE)) - {"acme", "test_scheme_properties"}
    assert named <= set(scheme_names())
    assert load_scheme("meta").challenge() is not None
    assert load_scheme("dropbox").challenge() is not None
    assert load_scheme("asana").greeting is not None
    assert load_scheme("trello").answers_head
    assert load_scheme("square").signs_url
    assert not load_scheme("bearer").signs_body
    assert load_scheme("discord").make_keys is not None
    assert load_scheme("paypal").document_hosts
    assert load_scheme("standard").make_secret is not None
    assert load_scheme("twilio").content_type != "application/json"
