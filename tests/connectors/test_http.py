"""How the connector http shows who calls, which redirects it follows, and what it sends besides JSON."""

import asyncio
import base64
import ssl
from urllib.parse import unquote

import pytest
import trustme
from aiohttp import web

from connectors.errors import CredentialsRefused, PermanentError, RateLimited, TransientError, Unreachable
from connectors.registry import load_connector
from streams.expression import Template


async def send(destination, **parameters):
    async def go():
        pass

    return await destination.call("request", parameters, idempotency_key="5f" * 32, before_attempt=go)


@pytest.fixture
def open_http(service, open_destination):
    async def open_it(secrets=None, **keys):
        own = {"base_url": service.base_url + "/api", "retry": {"attempts": 1}, **keys}
        return await open_destination("http", own, secrets=secrets)

    return open_it


@pytest.mark.parametrize(
    ("keys", "secrets", "header", "value"),
    [
        ({"token_env": "T"}, {"token_env": "tok"}, "authorization", "Bearer tok"),
        ({"username": "ada", "password_env": "P"}, {"password_env": "pä"}, "authorization", "Basic YWRhOnDDpA=="),
        ({"api_key_env": "K"}, {"api_key_env": "key"}, "x-api-key", "key"),
        ({"api_key_header": "X-Shop", "api_key_env": "K"}, {"api_key_env": "key"}, "x-shop", "key"),
    ],
)
async def test_a_credential_stands_in_a_header(open_http, service, keys, secrets, header, value):
    destination = await open_http(secrets, **keys)
    await send(destination, headers={"X-Own": "1"})
    assert service.received[0].header(header) == value
    if header != "authorization":  # which no call can set at all
        await send(destination, headers={header.upper(): "of the event"})
        assert service.received[1].header(header) == value


async def test_an_api_key_in_the_query_cannot_be_changed_by_a_call(open_http, service):
    destination = await open_http({"api_key_env": "k&1"}, api_key_query="key", api_key_env="K")
    await send(destination, path="/a", query={"key": "other", "q": 1})
    await send(destination, path="/a")
    assert [request.path for request in service.received] == ["/api/a?key=k%261&q=1", "/api/a?key=k%261"]


@pytest.mark.parametrize(
    "keys",
    [
        {"token_env": "T", "api_key_env": "K"},
        {"password_env": "P"},
        {"username": "a:b", "password_env": "P"},
        {"client_secret_env": "S"},
        {"client_secret_env": "S", "token_url": "https://a.example/token"},
        {"client_key_env": "K"},
        {"ca_file": "nowhere.pem"},
    ],
)
def test_credentials_that_do_not_fit_together_are_found_before_anything_starts(keys):
    with pytest.raises(ValueError, match=r"goes not with|needs|match|no file"):
        load_connector("http").settings_model.model_validate(
            {"connector": "http", "base_url": "http://1.1.1.1", **keys}
        )


@pytest.fixture
def oauth(service):
    return {
        "token_url": service.base_url + "/token",
        "client_id": "shop app",
        "client_secret_env": "S",
        "scope": "write",
        "audience": "crm",
    }


def tokens(service, **said):
    """Let the service give a new token each time."""

    async def give(request):
        await asyncio.sleep(0.02)
        return web.json_response({"access_token": f"token-{len(service.aside_received)}", "expires_in": 3600, **said})

    service.aside["/token"] = give


async def test_a_token_is_fetched_once_for_all_calls(open_http, service, oauth):
    tokens(service)
    destination = await open_http({"client_secret_env": "s/ecret"}, **oauth)
    await asyncio.gather(*(send(destination) for _ in range(20)))
    (asked,) = service.aside_received
    assert asked.body == b"grant_type=client_credentials&scope=write&audience=crm"
    assert asked.header("authorization") == "Basic " + base64.b64encode(b"shop+app:s%2Fecret").decode()
    assert asked.header("idempotency-key") is None
    assert {request.header("authorization") for request in service.received} == {"Bearer token-1"}


async def test_the_clients_own_credentials_can_stand_in_the_form(open_http, service, oauth):
    tokens(service)
    await send(await open_http({"client_secret_env": "s&1"}, **oauth, client_auth="body"))
    assert service.aside_received[0].body.endswith(b"&client_id=shop+app&client_secret=s%261")


async def test_a_token_is_fetched_anew_shortly_before_it_expires(open_http, service, oauth, open_destination):
    tokens(service, expires_in=100)
    now_s = 1000.0
    keys = {"base_url": service.base_url, "retry": {"attempts": 1}, **oauth}
    destination = await open_destination("http", keys, secrets={"client_secret_env": "x"}, unix_time=lambda: now_s)
    for now_s in (1000.0, 1060.0, 1075.0, 1100.0):  # noqa: B007  the clock reads it
        await send(destination)
    assert [request.header("authorization")[-1] for request in service.received] == ["1", "1", "2", "2"]


async def test_a_token_that_is_refused_is_fetched_anew_once(open_http, service, oauth):
    tokens(service)
    destination = await open_http({"client_secret_env": "x"}, **oauth)
    service.answer(401)
    service.answer(200)
    await send(destination)
    assert [request.header("authorization") for request in service.received] == ["Bearer token-1", "Bearer token-2"]
    service.answers = []
    service.answer(401, body=b'{"error": "token-3 and token-2 are bad"}')
    with pytest.raises(CredentialsRefused, match=r"\*\*\* and \*\*\* are bad"):
        await send(destination)
    assert len(service.received) == 4


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, b'{"error": "invalid_client"}', CredentialsRefused),
        (401, b'{"error": "invalid_client"}', CredentialsRefused),
        (200, b'{"token_type": "bearer"}', CredentialsRefused),
        (200, b'{"access_token": "a\\r\\nEvil: 1"}', CredentialsRefused),
        (200, b"<html>", TransientError),
        (503, b"", TransientError),
    ],
)
async def test_without_a_token_nothing_is_called(open_http, service, oauth, status, body, kind):
    async def give(request):
        return web.Response(status=status, body=body)

    service.aside["/token"] = give
    with pytest.raises(kind, match="no token was given: the "):
        await send(await open_http({"client_secret_env": "x"}, **oauth))
    assert service.received == []


async def test_a_token_that_is_not_given_is_not_asked_for_by_all_who_wait(open_http, service, oauth):
    gate = asyncio.Event()

    async def limit(request):
        await gate.wait()
        return web.Response(status=429, headers={"Retry-After": "30"})

    service.aside["/token"] = limit
    destination = await open_http({"client_secret_env": "x"}, **oauth)
    calls = [asyncio.create_task(send(destination)) for _ in range(20)]
    while destination.in_flight < 20:
        await asyncio.sleep(0.01)
    gate.set()
    failures = await asyncio.gather(*calls, return_exceptions=True)
    assert {(type(failure), failure.retry_after_s, failure.attempts) for failure in failures} == {(RateLimited, 30, 1)}
    assert len({id(failure) for failure in failures}) == 20
    assert len(service.aside_received) == 1


@pytest.mark.parametrize(
    ("method", "status", "location", "followed"),
    [
        ("GET", 301, "/api/new", True),
        ("GET", 302, "new", True),
        ("HEAD", 303, "/else/where?x=1", True),
        ("POST", 307, "/api/new", True),
        ("POST", 308, "{base}/api/new", True),
        ("POST", 301, "/api/new", False),
        ("POST", 302, "/api/new", False),
        ("POST", 303, "/api/new", False),
        ("GET", 302, "http://127.0.0.2:1/api/new", False),
        ("GET", 302, "//evil.example/api", False),
        ("GET", 302, "{https}/api/new", False),
        ("GET", 302, "http://user:pw@{host}/api", False),
        ("GET", 302, "http://[::1", False),
        ("GET", 304, "/api/new", False),
    ],
)
async def test_redirects_within_the_host_are_followed_where_that_changes_nothing(
    open_http, service, method, status, location, followed
):
    host = service.base_url.removeprefix("http://")
    location = location.format(base=service.base_url, https="https://" + host, host=host)
    service.answer(status, headers={"Location": location})
    service.answer(200)
    destination = await open_http({"token_env": "tok"}, token_env="T")
    body = {} if method in ("GET", "HEAD") else {"json": {"a": 1}}
    (result,) = await asyncio.gather(send(destination, method=method, path="/old", **body), return_exceptions=True)
    if followed:
        first, second = service.received
        assert (second.method, second.body) == (first.method, first.body)
        assert second.header("authorization") == "Bearer tok"
        assert second.header("idempotency-key") == "5f" * 32
    else:
        assert type(result) is PermanentError
        assert len(service.received) == 1


@pytest.mark.parametrize(
    ("parameters", "path", "says"),
    [
        ({"path": "//evil.example/x"}, ("path",), "absolute address"),
        ({"path": "/a/../b"}, ("path",), "dot segment"),
        ({"path": "/a?b=1"}, ("path",), "query"),
        ({"headers": {"Authorization": "{{ body.token }}"}}, ("headers",), "credentials belong in token_env"),
        ({"headers": {"X-A": "a\r\nX-B: 1"}}, ("headers", "X-A"), "does not allow"),
    ],
)
async def test_what_no_request_can_have_is_found_before_any_call(open_http, service, parameters, path, says):
    (mistake,) = load_connector("http").actions["request"].check(parameters)
    assert mistake.path == path
    assert says in mistake.message
    with pytest.raises(PermanentError, match=says) as caught:
        await send(await open_http(), **parameters)
    assert caught.value.attempts == 0
    assert service.received == []


def test_what_stands_around_the_expressions_of_a_path_is_checked():
    (mistake,) = load_connector("http").actions["request"].check({"path": "/orders?id={{ body.id }}"})
    assert mistake.path == ("path",)
    assert "give the query in `query`" in mistake.message


def test_what_an_event_will_give_is_no_mistake_before_there_is_one():
    parameters = {"path": "/a/{{ body.a if body.a else '?' }}", "headers": {"X-A": "{{ body.a\n | default('é') }}"}}
    assert load_connector("http").actions["request"].check(parameters) == []


@pytest.mark.parametrize("template", ["/orders/{{ body.id }}", "/orders/{{ body.id | urlencode }}"])
@pytest.mark.parametrize("id_", ["1/refunds", "1%2Frefunds", "1?all=1", "1#", "a b", "é", "..a", "1;x", "1:x", "\\"])
async def test_an_id_is_one_part_of_the_path(open_http, service, template, id_):
    url_paths = load_connector("http").actions["request"].url_paths
    rendered = Template({"path": template}, url_paths=url_paths).render({"body": {"id": id_}})
    await send(await open_http(), **rendered)
    arrived = service.received[0].path
    assert arrived.count("/") == "/api/orders/x".count("/")
    assert unquote(arrived) == f"/api/orders/{id_}"


async def test_redirects_in_a_circle_end(open_http, service):
    service.answer(302, headers={"Location": "/api"})
    with pytest.raises(PermanentError, match="302"):
        await send(await open_http(), method="GET")
    assert len(service.received) == 4


async def test_a_form_with_files(open_http, service):
    parts = {
        "order": 7,
        "note": ["a", "ü"],
        "paid": True,
        "invoice": {"name": 'in"voice.pdf', "content_base64": "JVBERg==", "content_type": "application/pdf"},
        "lines": [{"name": "a.txt", "content": "x"}, {"name": "b.txt", "content": "y"}],
    }
    await send(await open_http(), multipart=parts)
    (request,) = service.received
    assert request.header("content-type").startswith("multipart/form-data; boundary=")
    body = request.body.decode()
    assert 'name="order"\r\n\r\n7\r\n' in body
    assert 'name="note"\r\n\r\nü\r\n' in body
    assert 'name="paid"\r\n\r\ntrue\r\n' in body
    assert 'name="invoice"; filename="in%22voice.pdf"\r\nContent-Type: application/pdf\r\n\r\n%PDF\r\n' in body
    assert body.count('name="lines"') == 2


@pytest.mark.parametrize(
    "parameters",
    [
        {"multipart": {}},
        {"multipart": {"f": {"name": "a"}}},
        {"multipart": {"f": {"name": "a", "content": "x", "content_base64": "eA=="}}},
        {"multipart": {"f": {"name": "a\r\nEvil: 1", "content": "x"}}},
        {"multipart": {"f": {"name": "../a", "content": "x"}}},
        {"multipart": {"f": {"name": "a", "content": "x", "content_type": "text/plain\r\nEvil: 1"}}},
        {"multipart": {"f": {"name": "a", "content_base64": "%%%"}}},
        {"multipart": {"f": "x"}, "json": {}},
        {"body_base64": "a"},
        {"body": "x", "body_base64": "eA=="},
    ],
)
async def test_a_body_that_makes_no_sense_is_not_sent(open_http, service, parameters):
    with pytest.raises(PermanentError):
        await send(await open_http(), **parameters)
    assert service.received == []


async def test_raw_bytes(open_http, service):
    await send(await open_http(), body_base64="_w A", headers={"Content-Type": "image/png"})
    assert (service.received[0].body, service.received[0].header("content-type")) == (b"\xff\x00", "image/png")


async def test_a_part_cannot_break_out_of_its_header(open_http, service):
    await send(await open_http(), multipart={'a"\r\nEvil: 1\r\n\r\n': "x"})
    assert b"\r\nEvil" not in service.received[0].body


@pytest.fixture
async def tls_service(service, tmp_path):
    """The service by mutual TLS: only a client with a certificate of the authority is let in."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    runner = web.ServerRunner(web.Server(service.serve, access_log=None), shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    service.base_url = f"https://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    (tmp_path / "ca.pem").write_bytes(authority.cert_pem.bytes())
    client = authority.issue_cert("shop@example.com")
    yield {
        "ca_file": str(tmp_path / "ca.pem"),
        "secrets": {
            "client_cert_env": client.cert_chain_pems[0].bytes().decode(),
            "client_key_env": client.private_key_pem.bytes().decode(),
        },
    }
    await runner.cleanup()


async def test_mutual_tls(open_http, service, tls_service):
    own = {"ca_file": tls_service["ca_file"], "client_cert_env": "C", "client_key_env": "K"}
    assert (await send(await open_http(tls_service["secrets"], **own))).status == 200
    with pytest.raises(Unreachable):
        await send(await open_http(ca_file=tls_service["ca_file"]))
    with pytest.raises(Unreachable, match="certificate is not trusted"):
        await send(await open_http(tls_service["secrets"], client_cert_env="C", client_key_env="K"))
    assert len(service.received) == 1


async def test_a_client_certificate_that_cannot_be_used_stops_the_start(open_http, service, tls_service):
    secrets = {**tls_service["secrets"], "client_key_env": "-----BEGIN PRIVATE KEY-----\nplanted\n"}
    with pytest.raises(ValueError, match="client certificate or its key cannot be used") as caught:
        await open_http(secrets, client_cert_env="C", client_key_env="K")
    assert "planted" not in str(caught.value)
