"""What ``headrace send`` posts is accepted by a real server, for every scheme."""

from __future__ import annotations

import socket

import pytest
from prometheus_client import CollectorRegistry

from headrace.sending import NotSent, Sent, Shipment, send
from ingest.documents import Documents
from ingest.metrics import IngestMetrics
from ingest.scheme import load_scheme, scheme_names
from ingest.server import IngestServer
from streams.event import Event, Receipt
from tests.ingest.conftest import document_of, keys_of, make_source, secret_of


async def test_what_is_sent_is_accepted_for_every_scheme() -> None:
    events: list[Event] = []

    async def keep(event: Event) -> Receipt:
        events.append(event)
        return Receipt(event.source, 0, len(events) - 1)

    async def fetch(url: str) -> bytes | None:
        return document_of("paypal")

    sources = {name: make_source(name) for name in scheme_names()}
    server = IngestServer(sources, keep, IngestMetrics(CollectorRegistry()), documents=Documents(fetch))
    sock = socket.create_server(("127.0.0.1", 0))
    async with server.listen(sock):
        for name, source in sources.items():
            sent: list[Sent] = []
            url = f"http://127.0.0.1:{sock.getsockname()[1]}/webhook/{name}"
            key = keys_of(name)[0] if source.scheme.make_keys is not None else None
            before = len(events)
            await send(Shipment(source, url, signing_key=key, count=2), on_sent=sent.append)
            assert len(sent) == 2, name
            assert len(events) > before, name
            if source.scheme.id_at:
                assert len({event.dedup_id for event in events[before:]}) == len(events) - before, name


@pytest.mark.parametrize("name", [name for name in scheme_names() if load_scheme(name).make_keys is not None])
async def test_a_source_with_a_public_key_says_what_is_missing(name: str) -> None:
    if not load_scheme(name).needs_secret:
        return
    source = make_source(name, secrets=[secret_of(name)])
    with pytest.raises(NotSent, match="key"):
        await send(Shipment(source, "http://127.0.0.1:1/webhook/x"), on_sent=lambda _: None)
