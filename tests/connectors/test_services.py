"""What is peculiar to one service's action; how each calls and reads its service is in its example."""

from urllib.parse import parse_qs

import pytest

from connectors.actions.stripe import _flat
from connectors.errors import PermanentError
from connectors.registry import load_connector
from tests.connectors.examples import google_sheets
from tests.connectors.test_conformance import EXAMPLES, secrets_of


async def send(destination, action, **parameters):
    async def go():
        pass

    return await destination.call(action, parameters, idempotency_key="5f" * 32, before_attempt=go)


WITHOUT_WHAT_IS_NEEDED = [
    ("slack", "post_message", {"channel": "c"}),
    ("slack", "update_message", {"channel": "c", "ts": "1"}),
    ("slack", "post_message", {"channel": "c", "text": "x" * 40_001}),
    ("slack_webhook", "post_message", {}),
    ("discord", "post_message", {}),
    ("discord", "post_message", {"content": "x" * 2001}),
    ("teams", "post_message", {}),
    ("teams", "post_message", {"text": "a", "card": {}}),
    ("teams", "post_message", {"text": "x" * 30_000}),
    ("telegram", "send_message", {"chat_id": 1, "text": ""}),
    ("telegram", "send_document", {"chat_id": 1, "document": {"name": "../a", "content": "x"}}),
    ("github", "create_issue", {"repository": "acme/../../user", "title": "x"}),
    ("github", "create_issue", {"repository": "acme", "title": "x"}),
    ("github", "run_workflow", {"repository": "a/b", "workflow": "../x", "ref": "main"}),
    ("stripe", "create_refund", {}),
    ("stripe", "create_refund", {"charge": "ch_1", "payment_intent": "pi_1"}),
    ("stripe", "post", {"path": "/v1/../v2/x"}),
    ("stripe", "post", {"path": "https://evil.example/v1"}),
    ("twilio", "send_message", {"to": "+1", "body": "x"}),
    ("twilio", "send_message", {"to": "+1", "sender": "+2"}),
    ("sendgrid", "send_mail", {"sender": "a@b.c", "to": "d@e.f", "text": "x"}),
    ("sendgrid", "send_mail", {"sender": "a@b.c", "to": "d@e.f, g@h.i", "subject": "x", "text": "x"}),
    ("mailgun", "send_mail", {"sender": "a@b.c", "to": "d@e.f", "subject": "x"}),
    ("mailgun", "send_mail", {"sender": "a@b.c\r\nBcc: e@e.e", "to": "d@e.f", "subject": "x", "text": "x"}),
    ("hubspot", "create", {"object_type": "contacts/../x", "properties": {}}),
    ("hubspot", "update", {"object_type": "contacts", "id": "..", "properties": {}}),
    ("airtable", "create_record", {"table": "..", "fields": {}}),
    ("notion", "create_page", {"title": "x"}),
    ("notion", "append_blocks", {"block_id": "../users", "children": [{}]}),
    ("google_sheets", "append_rows", {"spreadsheet": "a" * 20, "sheet": "x"}),
    ("google_sheets", "append_rows", {"spreadsheet": "../../x", "sheet": "x", "row": [1]}),
    ("zapier", "trigger", {"payload": "text"}),
]


@pytest.mark.parametrize(("name", "action", "parameters"), WITHOUT_WHAT_IS_NEEDED)
async def test_what_the_service_would_refuse_or_misread_is_not_sent(name, action, parameters, acting_at, service):
    with pytest.raises(PermanentError) as caught:
        await send(await acting_at(name), action, **parameters)
    assert caught.value.status is None
    assert service.received == []


@pytest.fixture
def acting_at(service, open_destination, tmp_path):
    async def open_it(name, **keys):
        own = {"retry": {"attempts": 1}, **EXAMPLES[name].settings(service.base_url, tmp_path), **keys}
        service.aside = getattr(EXAMPLES[name], "ASIDE", {})
        return await open_destination(name, own, secrets=secrets_of(name, service.base_url))

    return open_it


async def test_a_service_account_signs_for_the_scope_that_it_needs(acting_at, service):
    destination = await acting_at("google_sheets")
    await send(destination, "append_rows", **google_sheets.PARAMETERS["append_rows"])
    (asked,) = service.aside_received
    form = {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    claims = google_sheets.read_assertion(form["assertion"], service.base_url + "/token")
    assert claims["iss"] == "shop@project.iam.gserviceaccount.com"
    assert claims["scope"] == "https://www.googleapis.com/auth/spreadsheets"
    assert claims["exp"] - claims["iat"] == 3600


@pytest.mark.parametrize(
    "text", ["", "{}", "planted", '{"client_email": "a", "private_key": "planted", "token_uri": "x"}']
)
async def test_a_service_account_key_that_is_none_stops_the_start(open_destination, text):
    keys = {"service_account_env": "G"}
    with pytest.raises(ValueError, match="not the JSON that Google gives out") as caught:
        await open_destination("google_sheets", keys, secrets={"service_account_env": text})
    assert "planted" not in str(caught.value)


@pytest.mark.parametrize("token", ["", "planted", "123:a/../x", "123456:AAAAAAAAAA\r\nx"])
async def test_a_bot_token_that_is_none_stops_the_start(open_destination, token):
    with pytest.raises(ValueError, match="bot token") as caught:
        await open_destination("telegram", {"token_env": "T"}, secrets={"token_env": token})
    assert "planted" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["", "planted", "ftp://planted", "https://user:planted@a.example/x", "https:///planted"]
)
async def test_an_address_that_is_none_stops_the_start_and_is_not_shown(open_destination, url):
    with pytest.raises(ValueError, match="the address in the environment") as caught:
        await open_destination("zapier", {"url_env": "Z"}, secrets={"url_env": url})
    assert "planted" not in str(caught.value)


def test_stripes_forms_nest():
    nested = {"a": {"b": [1, {"c": None, "d": False}]}, "e": []}
    assert list(_flat(nested)) == [("a[b][0]", "1"), ("a[b][1][d]", "false")]
    deep: object = "x"
    for _ in range(20):
        deep = {"a": deep}
    with pytest.raises(PermanentError, match="nested"):
        list(_flat(deep))


def test_the_services_default_rates_are_those_that_they_document():
    rates = {
        "slack": "1/s", "slack_webhook": "1/s", "discord": "2/s", "teams": "4/s", "telegram": "1/s", "github": "1/s",
        "stripe": "25/s", "hubspot": "10/s", "airtable": "5/s", "notion": "3/s", "google_sheets": "1/s",
        "zapier": "30/s",
    }  # fmt: skip
    for name, rate in rates.items():
        assert load_connector(name).settings_model.model_fields["rate"].default == rate
