from connectors.errors import CredentialsRefused, PermanentError, RateLimited
from tests.connectors.examples import Said

PATH = "/api/webhooks/1234567890/planted-token-abcdefghijklmnop"
PARAMETERS = {"post_message": {"content": "@everyone A new order", "username": "shop"}}
SENT = {
    "post_message": (
        "POST",
        PATH + "?wait=true",
        {"content": "@everyone A new order", "username": "shop", "allowed_mentions": {"parse": []}},
    )
}
ANSWERS = {"post_message": Said(body={"id": "1112223334445556667", "channel_id": "42", "type": 0})}
MADE = {"post_message": "message 1112223334445556667"}
REFUSALS = [
    Said(
        429,
        {"message": "You are being rate limited.", "retry_after": 64.57, "global": False},
        {"Retry-After": "65", "X-RateLimit-Scope": "user"},
        kind=RateLimited,
        wait_s=64.57,
    ),
    Said(429, b"error code: 1015", {"Retry-After": "20"}, kind=RateLimited, wait_s=20),
    Said(400, {"message": "Cannot send an empty message", "code": 50006}, kind=PermanentError, says="50006"),
    Said(
        401, {"message": "Invalid Webhook Token", "code": 50027}, kind=CredentialsRefused, says="Invalid Webhook Token"
    ),
    Said(404, {"message": "Unknown Webhook", "code": 10015}, kind=CredentialsRefused, says="Unknown Webhook"),
    Said(404, {"message": "Unknown Channel", "code": 10003}, kind=PermanentError),
]


def secrets(base_url):
    return {"url_env": base_url + PATH}


def settings(base_url, folder):
    return {"url_env": "DISCORD_URL"}
