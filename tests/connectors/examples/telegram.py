from connectors.errors import CredentialsRefused, PermanentError, RateLimited, TransientError
from tests.connectors.examples import Said

SECRETS = {"token_env": "123456789:AAplanted-token_1234567890"}
PATH = "/bot123456789:AAplanted-token_1234567890"
PARAMETERS = {
    "send_message": {"chat_id": -1001234567890, "text": "A new order", "link_preview": False},
    "send_document": {"chat_id": "@orders", "document": {"name": "a.csv", "content": "a,b"}, "caption": "today"},
}
SENT = {
    "send_message": (
        "POST",
        PATH + "/sendMessage",
        {"chat_id": -1001234567890, "text": "A new order", "link_preview_options": {"is_disabled": True}},
    )
}
ANSWERS = dict.fromkeys(PARAMETERS, Said(body={"ok": True, "result": {"message_id": 42, "chat": {"id": 7}}}))
MADE = dict.fromkeys(PARAMETERS, "message 42")
MEANINGS = {403: PermanentError, 404: CredentialsRefused}
REFUSALS = [
    Said(
        429,
        {
            "ok": False,
            "error_code": 429,
            "description": "Too Many Requests: retry after 35",
            "parameters": {"retry_after": 35},
        },
        kind=RateLimited,
        wait_s=35,
    ),
    Said(
        400,
        {"ok": False, "error_code": 400, "description": "Bad Request: chat not found"},
        kind=PermanentError,
        says="chat not found",
    ),
    Said(
        403,
        {"ok": False, "error_code": 403, "description": "Forbidden: bot was blocked by the user"},
        kind=PermanentError,
        says="blocked by the user",
    ),
    Said(401, {"ok": False, "error_code": 401, "description": "Unauthorized"}, kind=CredentialsRefused),
    Said(404, {"ok": False, "error_code": 404, "description": "Not Found"}, kind=CredentialsRefused),
    Said(body={"ok": False, "description": "odd"}, kind=PermanentError, says="odd"),
    Said(body=b"<html>", kind=TransientError),
]


def settings(base_url, folder):
    return {"base_url": base_url, "token_env": "TELEGRAM_TOKEN"}
