from connectors.errors import CredentialsRefused, PermanentError, RateLimited
from tests.connectors.examples import Said

SECRETS = {"token_env": "SG.planted.1234567890"}
PARAMETERS = {
    "send_mail": {
        "sender": "Shop <shop@example.com>",
        "to": ["Ada Lovelace <ada@example.com>", "bob@example.com"],
        "subject": "Your order",
        "text": "Thank you",
        "html": "<p>Thank you</p>",
        "attachments": [{"name": "a.txt", "content": "x", "content_type": "text/plain"}],
    }
}
SENT = {
    "send_mail": (
        "POST",
        "/v3/mail/send",
        {
            "personalizations": [
                {
                    "to": [{"email": "ada@example.com", "name": "Ada Lovelace"}, {"email": "bob@example.com"}],
                    "custom_args": {"headrace_delivery_id": "5f" * 32},
                }
            ],
            "from": {"email": "shop@example.com", "name": "Shop"},
            "subject": "Your order",
            "content": [
                {"type": "text/plain", "value": "Thank you"},
                {"type": "text/html", "value": "<p>Thank you</p>"},
            ],
            "attachments": [
                {"content": "eA==", "type": "text/plain", "filename": "a.txt", "disposition": "attachment"}
            ],
        },
    )
}
ANSWERS = {"send_mail": Said(202, b"", {"X-Message-Id": "14c5d75ce93.dfd.64b469"})}
MADE = {"send_mail": "mail 14c5d75ce93.dfd.64b469"}
REFUSALS = [
    Said(
        400,
        {
            "errors": [
                {"message": "The from email does not contain a valid address.", "field": "from.email", "help": None}
            ]
        },
        kind=PermanentError,
        says="does not contain a valid address",
    ),
    Said(
        401,
        {"errors": [{"message": "The provided authorization grant is invalid", "field": None}]},
        kind=CredentialsRefused,
    ),
    Said(
        403,
        {"errors": [{"message": "The from address does not match a verified Sender Identity."}]},
        kind=CredentialsRefused,
    ),
    Said(413, {"errors": [{"message": "too large"}]}, kind=PermanentError),
    Said(
        429,
        {"errors": [{"message": "too many requests"}]},
        {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "20"},
        kind=RateLimited,
        wait_s=20,
    ),
]


def settings(base_url, folder):
    return {"base_url": base_url, "token_env": "SENDGRID_KEY"}
