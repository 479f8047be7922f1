from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.answers import LIMIT_HEADERS, RULES, error_for, exhausted_s, retry_after_s, rule_for
from connectors.errors import CallError, CredentialsRefused, PermanentError, RateLimited, TransientError

NOW_S = 1_700_000_000.0


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *[(status, type(None)) for status in (200, 201, 202, 204, 299)],
        *[(status, PermanentError) for status in (300, 301, 302, 307, 308, 400, 402, 404, 405, 410, 413, 422, 499)],
        *[(status, CredentialsRefused) for status in (401, 403)],
        *[(status, TransientError) for status in (408, 409, 425, 500, 501, 502, 503, 504, 599)],
        (429, RateLimited),
        *[(status, PermanentError) for status in (0, 100, 199, 600, 999)],
    ],
)
def test_what_each_status_means(status, kind):
    error = error_for(status, {}, now_s=NOW_S)
    assert type(error) is kind
    assert error is None or error.status == status


def test_the_table_covers_every_status_and_says_why():
    assert all(rule_for(status).because for status in range(1000))
    assert {rule.meaning for rule in RULES} == {
        "ok",
        "permanent",
        "credentials_refused",
        "rate_limited",
        "transient",
    }


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        (" 120 ", 120),
        ("999999999999", 86_400),
        (formatdate(NOW_S + 30, usegmt=True), 30),
        (formatdate(NOW_S - 30, usegmt=True), 0),
        ("Tuesday, 14-Nov-23 22:13:50 GMT", 30),
        ("", None),
        ("-1", None),
        ("1.5", 1.5),
        ("45.", 45),
        ("9" * 20, 86_400),
        ("1.5.5", None),
        ("-1.5", None),
        ("1_0", None),
        ("١٢", None),
        ("nan", None),
        ("soon", None),
        ("9" * 400, None),
    ],
)
def test_retry_after_in_seconds_or_as_a_date(text, seconds):
    assert retry_after_s(text, now_s=NOW_S) == seconds


@given(st.text() | st.from_regex(r"(Mon|Tue), \d+ [A-Z][a-z]{2} \d+ \d+:\d+:\d+ (GMT|[+-]\d+)?", fullmatch=True))
def test_no_retry_after_raises_anything(text):
    seconds = retry_after_s(text, now_s=NOW_S)
    assert seconds is None or 0 <= seconds <= 86_400


@given(st.integers(100, 999), st.dictionaries(st.sampled_from(sorted(LIMIT_HEADERS)), st.binary(max_size=40)))
def test_no_header_raises_anything(status, headers):
    wait_s = exhausted_s(headers, now_s=NOW_S)
    assert wait_s is None or 0 <= wait_s <= 86_400
    error = error_for(status, headers, now_s=NOW_S)
    assert error is None or isinstance(error, CallError)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({b"x-ratelimit-remaining": b"0", b"x-ratelimit-reset": b"1700000060"}, 60),
        ({b"x-ratelimit-remaining": b"0", b"x-ratelimit-reset": b"1700000060000"}, 60),
        ({b"x-ratelimit-remaining": b"0", b"x-ratelimit-reset": b"7"}, 7),
        ({b"x-ratelimit-remaining": b"0", b"x-ratelimit-reset-after": b"1.5"}, 1.5),
        ({b"ratelimit-remaining": b"0", b"ratelimit-reset": b"50"}, 50),
        ({b"ratelimit": b'"default";r=0;t=50'}, 50),
        ({b"ratelimit": b'"default";r=5;t=50'}, None),
        ({b"x-ratelimit-remaining": b"3", b"x-ratelimit-reset": b"7"}, None),
        ({b"x-ratelimit-remaining": b"0"}, None),
        ({b"x-ratelimit-remaining": b"0", b"x-ratelimit-reset": b"nan"}, None),
    ],
)
def test_a_quota_that_is_used_up(headers, seconds):
    assert exhausted_s(headers, now_s=NOW_S) == seconds
    # A 429 means it even if the headers do not say that nothing remains.
    asked_s = seconds or (7 if headers.get(b"x-ratelimit-remaining") == b"3" else None)
    assert error_for(429, headers, now_s=NOW_S).retry_after_s == asked_s


def test_retry_after_goes_before_the_other_headers():
    headers = {b"retry-after": b"3", b"x-ratelimit-reset": b"7"}
    assert error_for(429, headers, now_s=NOW_S).retry_after_s == 3
    assert error_for(503, headers, now_s=NOW_S).retry_after_s == 3
