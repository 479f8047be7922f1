import base64
import hashlib
import hmac

from connectors.errors import PermanentError
from tests.connectors.examples import Said

KEY = b"0123456789abcdef0123456789"
OLD = b"fedcba9876543210fedcba9876"
SECRETS = {"secret_env": "\n".join("whsec_" + base64.b64encode(key).decode() for key in (KEY, OLD))}
PARAMETERS = {"send": {"payload": {"order": 7}}}
SENT = {"send": ("POST", "/hooks", b'{"order":7}')}
MEANINGS = {410: PermanentError}
REFUSALS = [Said(410, kind=PermanentError, says="wants no more webhooks")]


def settings(base_url, folder):
    return {"base_url": base_url + "/hooks", "secret_env": ["HOOK_SECRET", "OLD_SECRET"]}


def is_authentic(request):
    """Verify as a receiver does, with the specification's own words: id.timestamp.body."""
    content = f"{request.header('webhook-id')}.{request.header('webhook-timestamp')}.".encode() + request.body
    expected = [
        "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode() for key in (KEY, OLD)
    ]
    assert request.header("webhook-id") == request.header("idempotency-key")
    return request.header("webhook-signature").split(" ") == expected
