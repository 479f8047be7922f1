from __future__ import annotations

import re

import pytest
import yaml

from ingest.scheme import load_scheme, scheme_names
from ingest.sources import compile_source, source_model_for
from ops.schemes_page import PAGE, page
from tests.ingest.conftest import OPTIONS, secret_of

EXAMPLES = re.findall(r"```yaml\n(.*?)```", page(), re.DOTALL)


def test_the_page_is_what_the_schemes_make() -> None:
    assert PAGE.read_text() == page()


def test_each_scheme_has_an_example() -> None:
    assert [next(iter(yaml.safe_load(text)["sources"])) for text in EXAMPLES] == scheme_names()


@pytest.mark.parametrize("text", EXAMPLES, ids=scheme_names())
def test_an_example_is_a_source_that_starts(text: str) -> None:
    ((name, given),) = yaml.safe_load(text)["sources"].items()
    given = {**given, **OPTIONS.get(name, {})}
    settings = source_model_for(given["scheme"]).model_validate(given)
    secrets = [secret_of(name)] if load_scheme(name).needs_secret else []
    assert compile_source(name, settings, secrets, option_secrets=dict.fromkeys(settings.option_secret_envs(), b"x"))
