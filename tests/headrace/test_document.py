"""YAML is read with its lines, and hostile YAML is one clear mistake, at once."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.document import read_document
from headrace.mistakes import ConfigError, Mistake

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{this}: &{this} [{', '.join([f'*{before}'] * 10)}]\n" for before, this in zip("abcdefgh", "bcdefghi", strict=True)
)


def read(tmp_path: Path, text: str | bytes) -> object:
    node, mistakes = read_document(written(tmp_path, text))
    assert mistakes == []
    return node.plain()


def refused(tmp_path: Path, text: str | bytes) -> Mistake:
    with pytest.raises(ConfigError) as caught:
        read_document(written(tmp_path, text))
    (mistake,) = caught.value.mistakes
    return mistake


def written(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "headrace.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_scalars_are_read_as_json_would(tmp_path: Path) -> None:
    text = "{a: 1, b: -2.5, c: true, d: null, e: ~, f: 1e3, g: , h: '1', i: !!str 2}"
    assert read(tmp_path, text) == {
        "a": 1,
        "b": -2.5,
        "c": True,
        "d": None,
        "e": None,
        "f": 1000.0,
        "g": None,
        "h": "1",
        "i": "2",
    }


@pytest.mark.parametrize(
    "text", ["no", "on", "yes", "12:30", "0123", "2026-01-02", "0x1F", "1_000", ".inf", "1e999", "9" * 50]
)
def test_what_yaml_1_1_would_turn_into_something_else_stays_text(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, f"a: {text}") == {"a": text}


def test_anchors_aliases_and_merge_keys(tmp_path: Path) -> None:
    text = "base: &base {a: 1, b: 2}\nlist: [*base]\nmerged: {<<: *base, b: 3}\nboth: {<<: [*base, {c: 4}]}\n"
    base = {"a": 1, "b": 2}
    assert read(tmp_path, text) == {"base": base, "list": [base], "merged": {"b": 3, "a": 1}, "both": {**base, "c": 4}}


def test_lines_are_those_of_the_keys(tmp_path: Path) -> None:
    node, _ = read_document(written(tmp_path, "a:\n  b:\n    - 1\n    - c: 2\n"))
    assert [node.line_of(keys) for keys in [("a",), ("a", "b"), ("a", "b", 1), ("a", "b", 1, "c")]] == [1, 2, 4, 4]
    assert node.line_of(("a", "missing", "deeper")) == 1


def test_a_key_given_twice_is_a_mistake_that_names_both_lines(tmp_path: Path) -> None:
    _, mistakes = read_document(written(tmp_path, "a: 1\nb: {c: 1, c: 2}\na: 3\n"))
    assert [(mistake.line, mistake.key) for mistake in mistakes] == [(2, "b.c"), (3, "a")]
    assert "line 1" in mistakes[1].message


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 0, "empty"),
        ("# nothing\n", 0, "empty"),
        ("a: 1\n\tb: 2\n", 2, "not valid YAML"),
        ("a: b: c", 1, "not valid YAML"),
        ("a: 'open", 1, "not valid YAML"),
        ("a: [1\nb: 2", 2, "not valid YAML"),
        ("a: 1\n---\nb: 1\n", 2, "more than one document"),
        (b"a: 1\nb: \xff\n", 2, "UTF-8"),
        (b"a: \x00", 0, "not valid YAML"),
        ("a: *nobody", 1, "nobody"),
        ("&a [*a]", 1, "*a"),
        ("[" * 100_000, 1, "deep"),
        ("- " * 100_000, 1, "deep"),
        ("? " * 20_000, 1, "deep"),
        ("{a: " * 20_000, 1, "deep"),
        (LAUGHS, 6, "values"),
        (b"a" * (4 * 1024 * 1024 + 1), 0, "larger"),
    ],
)
def test_a_hostile_document_is_one_mistake_and_quick(
    tmp_path: Path, text: str | bytes, line: int, message: str
) -> None:
    begun_s = time.thread_time()
    mistake = refused(tmp_path, text)
    assert time.thread_time() - begun_s < 2
    assert message in mistake.message
    assert mistake.line == line


def test_tags_are_never_followed(tmp_path: Path) -> None:
    _, mistakes = read_document(written(tmp_path, "a: !!python/object/apply:os.system ['true']\nb: !secret x"))
    assert [mistake.line for mistake in mistakes] == [1, 2]


def test_a_template_without_quotes_is_explained(tmp_path: Path) -> None:
    _, mistakes = read_document(written(tmp_path, "a: {{ body.id }}\n"))
    assert "quote" in mistakes[0].suggestion


def test_a_directory_and_a_missing_file_are_mistakes(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.yaml"):
        with pytest.raises(ConfigError) as caught:
            read_document(path)
        assert len(caught.value.mistakes) == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet="ab:-[]{}#&*!|>'\"% \n\t?,<1", max_size=60) | st.text(max_size=40))
def test_any_text_is_a_document_or_a_config_error(tmp_path: Path, text: str) -> None:
    try:
        node, _ = read_document(written(tmp_path, text.encode("utf-8", "surrogatepass")))
    except ConfigError:
        return
    node.plain()
