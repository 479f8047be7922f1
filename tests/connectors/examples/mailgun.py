import base64

from connectors.errors import CredentialsRefused, PermanentError, RateLimited
from tests.connectors.examples import Said

SECRETS = {"token_env": "key-planted1234567890"}
PARAMETERS = {
    "send_mail": {
        "sender": "Shop <shop@mg.example.com>",
        "to": "ada@example.com",
        "subject": "Your order",
        "text": "Thank you",
        "attachments": [{"name": "a.txt", "content": "x"}],
    }
}
ANSWERS = {
    "send_mail": Said(body={"id": "<20111114174239.25659.5817@mg.example.com>", "message": "Queued. Thank you."})
}
MADE = {"send_mail": "mail <20111114174239.25659.5817@mg.example.com>"}
MEANINGS = {404: CredentialsRefused}
REFUSALS = [
    Said(400, {"message": "to parameter is not a valid address."}, kind=PermanentError, says="not a valid address"),
    Said(401, b"Forbidden", kind=CredentialsRefused),
    Said(404, {"message": "Domain not found: mg.example.com"}, kind=CredentialsRefused, says="Domain not found"),
    Said(413, {"message": "Request Entity Too Large"}, kind=PermanentError),
    Said(429, {"message": "too many requests"}, {"X-RateLimit-Reset": "30"}, kind=RateLimited, wait_s=30),
]


def settings(base_url, folder):
    return {"base_url": base_url, "domain": "mg.example.com", "token_env": "MAILGUN_KEY"}


def is_authentic(request):
    assert request.path == "/v3/mg.example.com/messages"
    assert f'name="h:Message-Id"\r\n\r\n<{"5f" * 32}@mg.example.com>\r\n'.encode() in request.body
    assert b'name="attachment"; filename="a.txt"' in request.body
    expected = base64.b64encode(f"api:{SECRETS['token_env']}".encode()).decode()
    return request.header("authorization") == f"Basic {expected}"
