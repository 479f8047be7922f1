import base64

from connectors.errors import CredentialsRefused, RateLimited
from tests.connectors.examples import Said

PATH = "/hooks/catch/1234567/plantedhook42/"
PARAMETERS = {
    "trigger": {"payload": {"order": 7}},
    "forward": {"body_base64": base64.b64encode(b'{"order": 7}').decode(), "content_type": "application/json"},
}
SENT = {"trigger": ("POST", PATH, {"order": 7}), "forward": ("POST", PATH, {"order": 7})}
TAKEN = Said(body={"attempt": "018f", "id": "018f", "request_id": "018f-ab", "status": "success"})
ANSWERS = {"trigger": TAKEN, "forward": TAKEN}
MADE = {"trigger": "request 018f-ab", "forward": ""}
MEANINGS = {404: CredentialsRefused}
REFUSALS = [
    Said(429, b"", {"Retry-After": "60"}, kind=RateLimited, wait_s=60),
    Said(410, b"gone", kind=CredentialsRefused),
]


def secrets(base_url):
    return {"url_env": base_url + PATH}


def settings(base_url, folder):
    return {"url_env": "ZAPIER_HOOK"}
