import contextlib

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from yarl import URL

from connectors.endpoint import Endpoint, check_headers, join_url, read_base_url

BASE = "https://crm.example.com:8443/api/v1"


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("", BASE),
        ("/", BASE + "/"),
        ("/invoices", BASE + "/invoices"),
        ("invoices", BASE + "/invoices"),
        ("/a b/ü", BASE + "/a%20b/%C3%BC"),
        ("/a%2Fb/100%", BASE + "/a%2Fb/100%25"),
        ("/a..b/...", BASE + "/a..b/..."),
        ("/@evil.com", BASE + "/@evil.com"),
    ],
)
def test_a_path_is_joined_under_the_base(path, url):
    assert join_url(BASE, path) == url


@pytest.mark.parametrize(
    "path",
    [
        "..",
        "/../admin",
        "/users/../../admin",
        "/users/./x",
        "/%2e%2e/admin",
        "/%2E./admin",
        "/.%2e%2fadmin",
        "/%252e%252e/admin",
        "/%25252e%25252e/admin",
        "/%2525252525252e/",
        "/..\\admin",
        "\\..\\admin",
        "/..;/admin",
        "//evil.com/x",
        "https://evil.com",
        "/https://evil.com",
        " http://evil.com",
        "/a\r\nHost: evil",
        "/a%0d%0ab",
        "/a\x00",
        "/a?b=c",
        "/a#b",
        "/\ud800",
        "/" + "a" * 9000,
    ],
)
def test_a_path_that_would_leave_is_refused(path):
    with pytest.raises(ValueError, match="the path"):
        join_url(BASE, path)


PIECES = st.sampled_from(
    ["..", ".", "/", "\\", "%2e", "%2F", "%25", "%5c", "//", ":", "@", "a", ";", "%", "http:", " "]
)


@given(st.text() | st.lists(PIECES).map("".join))
@example("/%2e%2e%2f..")
def test_no_path_leaves_host_and_base(path):
    try:
        url = join_url(BASE, path)
    except ValueError:
        return
    for seen in (httpx.URL(url), URL(str(httpx.URL(url)))):
        assert (seen.scheme, seen.host, seen.port) == ("https", "crm.example.com", 8443)
        assert seen.path == "/api/v1" or seen.path.startswith("/api/v1/")
        assert not seen.query
        assert not seen.fragment


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.booleans() | st.none() | st.lists(st.text())))
def test_a_query_stays_a_query(query):
    try:
        url = join_url(BASE, "/search", query)
    except ValueError:
        return
    seen = httpx.URL(url)
    assert (seen.host, seen.path, seen.fragment) == ("crm.example.com", "/api/v1/search", "")


def test_a_query_repeats_lists_and_leaves_out_what_is_null():
    assert join_url(BASE, "/s", {"a": [1, "x y"], "b": True, "c": None}) == BASE + "/s?a=1&a=x+y&b=true"


@pytest.mark.parametrize(
    ("text", "base"),
    [("https://a.example/", "https://a.example"), ("http://127.0.0.1:80/x/", "http://127.0.0.1:80/x")],
)
def test_a_base_url_loses_its_trailing_slash(text, base):
    assert read_base_url(text) == base


@pytest.mark.parametrize(
    "text",
    ["", "crm.example.com", "ftp://a", "file:///etc", "https://", "https://u:p@a", "https://a?x=1", "https://a#x",
     "https://a/../b", "https://a b", "https://[::1", "https://a:99999", "https://a\\b"],
)  # fmt: skip
def test_what_is_no_base_url_is_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011  any of its sentences
        read_base_url(text)


@given(st.text())
def test_any_base_url_is_read_or_refused(text):
    with contextlib.suppress(ValueError):
        assert read_base_url(text).startswith("http")


@pytest.mark.parametrize(
    "headers",
    [{"X": "a\r\nEvil: 1"}, {"X": "a\nb"}, {"X\r\n": "a"}, {"X": "ü"}, {"X": "a\x00"}, {"": "a"}, {"A b": "c"},
     {"Host": "evil"}, {"Authorization": "x"}, {"idempotency-key": "x"}, {"Content-Length": "1"}],
)  # fmt: skip
def test_a_header_that_is_unsafe_is_refused(headers):
    with pytest.raises(ValueError, match="header"):
        check_headers(headers)


@given(st.dictionaries(st.text(), st.text()))
def test_checked_headers_can_be_sent(headers):
    try:
        checked = check_headers(headers)
    except ValueError:
        return
    httpx.Headers(checked).raw  # noqa: B018  encodes


def test_an_endpoint_shows_no_header():
    assert "secret" not in repr(Endpoint(BASE, {"authorization": "Bearer secret"}))
