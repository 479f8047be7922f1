"""Forwarding to a hook: the body as it came, and the query beside the hook's own."""

import base64

import pytest

from connectors.errors import PermanentError

HOOK = "/hooks/catch/1234567/plantedhook42/?silent=true"


async def forward(open_destination, service, **parameters):
    destination = await open_destination("zapier", {"url_env": "H"}, secrets={"url_env": service.base_url + HOOK})

    async def go():
        pass

    return await destination.call("forward", parameters, idempotency_key="5f" * 32, before_attempt=go)


async def test_body_content_type_and_query_arrive_as_they_came(service, open_destination):
    body = b"\x00\xff not text"
    query = "a=1&a=2&b=%20x&c="
    encoded = base64.b64encode(body).decode()
    await forward(open_destination, service, body_base64=encoded, content_type="application/x-odd", query=query)
    (received,) = service.received
    assert received.body == body
    assert received.header("content-type") == "application/x-odd"
    assert received.path.startswith("/hooks/catch/1234567/plantedhook42/?")
    for pair in ("silent=true", "a=1", "a=2", "b=+x", "c="):
        assert pair in received.path


@pytest.mark.parametrize("parameters", [{"body_base64": "%%%"}, {"body_base64": "", "query": "&".join(["a=1"] * 1001)}])
async def test_what_cannot_be_forwarded_is_refused_for_good(service, open_destination, parameters):
    with pytest.raises(PermanentError):
        await forward(open_destination, service, **parameters)
    assert not service.received
