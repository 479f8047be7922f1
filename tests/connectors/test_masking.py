"""No form of a secret in which services and clients write it gets through."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.answers import explain
from connectors.masking import MASK, Mask

SECRET = 'pa ss/wört+=&"x\\y'


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET, ensure_ascii=False)[1:-1],
    ],
)
def test_a_secret_is_found_as_it_is_usually_written(form: str) -> None:
    assert Mask([SECRET]).text(f"before {form} after") == f"before {MASK} after"


@given(st.text(st.characters(codec="utf-8"), min_size=12, max_size=40), st.binary(max_size=7), st.binary(max_size=7))
def test_a_secret_within_base64_is_found_at_any_alignment(secret: str, before: bytes, after: bytes) -> None:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        assert MASK in Mask([secret]).text(encode(before + secret.encode() + after).decode())


def test_a_short_secret_masks_nothing_and_one_can_be_added() -> None:
    mask = Mask(["abc"])
    assert mask.text("abc token-1") == "abc token-1"
    mask.add("token-1")
    assert mask.value({"token-1": ["abc", {"n": "a token-1"}], "n": 1}) == {MASK: ["abc", {"n": f"a {MASK}"}], "n": 1}


def test_a_secret_that_holds_another_is_masked_whole() -> None:
    assert Mask(["token", "token-and-more"]).text("x token-and-more") == f"x {MASK}"


@pytest.mark.parametrize("written", [quote(SECRET, safe=""), quote_plus(SECRET), json.dumps(SECRET)[1:-1]])
def test_base64_of_an_address_or_of_json_hides_no_secret(written: str) -> None:
    for before in ("", "/", "/a"):
        assert MASK in Mask([SECRET]).text(base64.b64encode(f"{before}{written} and more".encode()).decode())


def test_no_part_of_a_secret_is_left_where_text_was_cut() -> None:
    secret = "token-0123456789"
    mask = Mask([secret])
    for cut in range(len(secret) + 1):
        assert "tok" not in mask.beginning(secret * 9 + secret[:cut], whole=False)
    assert mask.beginning(f"a {secret}", whole=True) == f"a {MASK}"


def test_what_a_failed_answer_says_is_masked_before_it_is_cut() -> None:
    secret = "token-0123456789"
    said = explain(json.dumps({"error": secret * 200}).encode(), mask=Mask([secret]).text)
    assert set(said) == {"*"}
