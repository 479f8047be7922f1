from connectors.errors import CredentialsRefused, PermanentError, RateLimited, TransientError
from tests.connectors.examples import Said

SECRETS = {"token_env": "xoxb-planted-1234567890"}
PARAMETERS = {
    "post_message": {"channel": "#orders", "text": "A new order", "thread_ts": "1503435956.000247"},
    "update_message": {"channel": "C123ABC456", "ts": "1503435956.000247", "text": "Paid"},
}
SENT = {
    "post_message": (
        "POST",
        "/api/chat.postMessage",
        {"channel": "#orders", "text": "A new order", "thread_ts": "1503435956.000247"},
    ),
    "update_message": (
        "POST",
        "/api/chat.update",
        {"channel": "C123ABC456", "ts": "1503435956.000247", "text": "Paid"},
    ),
}
OK = Said(body={"ok": True, "channel": "C123ABC456", "ts": "1503435956.000247", "message": {"text": "A new order"}})
ANSWERS = {"post_message": OK, "update_message": OK}
MADE = dict.fromkeys(PARAMETERS, "message 1503435956.000247 in C123ABC456")
REFUSALS = [
    Said(body={"ok": False, "error": "channel_not_found"}, kind=PermanentError, says="channel_not_found"),
    Said(body={"ok": False, "error": "not_in_channel"}, kind=PermanentError, says="not_in_channel"),
    Said(body={"ok": False, "error": "brand_new_error"}, kind=PermanentError, says="brand_new_error"),
    Said(body={"ok": False, "error": "invalid_auth"}, kind=CredentialsRefused),
    Said(body={"ok": False, "error": "missing_scope", "needed": "chat:write"}, kind=CredentialsRefused),
    Said(body={"ok": False, "error": "ratelimited"}, headers={"Retry-After": "30"}, kind=RateLimited, wait_s=30),
    Said(body={"ok": False, "error": "internal_error"}, kind=TransientError),
    Said(429, {"ok": False, "error": "ratelimited"}, {"Retry-After": "30"}, kind=RateLimited, wait_s=30),
    Said(body=b"<html>proxy</html>", kind=TransientError, says="does not say"),
]


def settings(base_url, folder):
    return {"base_url": base_url + "/api", "token_env": "SLACK_TOKEN"}
