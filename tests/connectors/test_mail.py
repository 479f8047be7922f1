import re
from email.utils import parseaddr

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from connectors.mail import Address, Addresses, listed, message_id, split_address

ADDRESS = TypeAdapter(Address)


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("ada@example.com", {"email": "ada@example.com"}),
        (" ada@example.com ", {"email": "ada@example.com"}),
        ("Ada Lovelace <ada@example.com>", {"email": "ada@example.com", "name": "Ada Lovelace"}),
        ('"Lovelace, Ada" <ada@example.com>', {"email": "ada@example.com", "name": "Lovelace, Ada"}),
        ("<ada@example.com>", {"email": "ada@example.com"}),
        ("Größe <ü@bücher.example>", {"email": "ü@bücher.example", "name": "Größe"}),
    ],
)
def test_an_address_is_one_with_or_without_a_name(text, split):
    assert split_address(ADDRESS.validate_python(text)) == split


@pytest.mark.parametrize(
    "text",
    [
        "", "ada", "ada@", "@example.com", "ada@a@b", "ada@example.com, eve@evil.example", "ada@example.com;eve@e.x",
        "ada@example.com\r\nBcc: eve@evil.example", "Ada\r\nBcc: x <ada@example.com>",
        "Ada\n <ada@example.com>", "Ada <ada@example.com> <e@e.x>",
        "a b@example.com", 'Ada" <ada@example.com>', "ada@example.com\x00", "<>", "a" * 70 + "@example.com",
    ],
)  # fmt: skip
def test_what_is_not_one_address_is_refused(text):
    with pytest.raises(ValidationError):
        ADDRESS.validate_python(text)


@given(st.text() | st.from_regex(r'[a-z ,;<>@"\r\n]{1,40}'))
def test_no_address_holds_another_or_ends_its_header(text):
    try:
        address = ADDRESS.validate_python(text)
    except ValidationError:
        return
    assert not re.search(r"[\x00-\x1f\x7f]", address)
    assert split_address(address)["email"].count("@") == 1
    assert parseaddr(address)[1].count("@") <= 1


@pytest.mark.parametrize(
    ("given_to", "all_of_them"), [(None, []), ("a@b.c", ["a@b.c"]), (["a@b.c", "d@e.f"], ["a@b.c", "d@e.f"])]
)
def test_recipients_are_one_or_many(given_to, all_of_them):
    assert listed(given_to) == all_of_them


def test_too_many_recipients_are_refused():
    with pytest.raises(ValidationError):
        TypeAdapter(Addresses).validate_python(["a@b.c"] * 101)


def test_a_message_id_is_of_the_senders_domain():
    assert message_id("5f", "Shop <shop@bücher.example>") == "<5f@xn--bcher-kva.example>"
    assert message_id("5f", "shop@" + "ü" * 80 + ".x") == "<5f@headrace.invalid>"
