from connectors.errors import CredentialsRefused, PermanentError, RateLimited, TransientError
from tests.connectors.examples import Said

PATH = "/powerautomate/automations/direct/workflows/abc/triggers/manual/paths/invoke"
QUERY = "?api-version=1&sp=/triggers/manual/run&sv=1.0&sig=planted-signature-1234567890"
PARAMETERS = {"post_message": {"title": "Orders", "text": "A new order"}}
SENT = {
    "post_message": (
        "POST",
        PATH + QUERY,
        {
            "type": "message",
            "attachments": [
                {
                    "contentType": "application/vnd.microsoft.card.adaptive",
                    "contentUrl": None,
                    "content": {
                        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                        "type": "AdaptiveCard",
                        "version": "1.4",
                        "body": [
                            {
                                "type": "TextBlock",
                                "text": "Orders",
                                "wrap": True,
                                "weight": "Bolder",
                                "size": "Medium",
                            },
                            {"type": "TextBlock", "text": "A new order", "wrap": True},
                        ],
                    },
                }
            ],
        },
    )
}
ANSWERS = {"post_message": Said(202, b"")}
REFUSALS = [
    Said(429, b"", {"Retry-After": "12"}, kind=RateLimited, wait_s=12),
    Said(400, {"error": {"code": "TriggerInputSchemaMismatch", "message": "no"}}, kind=PermanentError, says="Mismatch"),
    Said(400, {"error": {"code": "WorkflowTriggerIsNotEnabled", "message": "off"}}, kind=CredentialsRefused),
    Said(404, {"error": {"code": "WorkflowNotFound", "message": "no"}}, kind=CredentialsRefused),
    Said(401, {"error": {"code": "DirectApiAuthorizationRequired", "message": "no"}}, kind=CredentialsRefused),
    Said(
        body=b"Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429",
        kind=RateLimited,
    ),
    Said(body=b"Microsoft Teams endpoint returned HTTP error 503 with ContextId", kind=TransientError),
    Said(body=b"Microsoft Teams endpoint returned HTTP error 413 with ContextId", kind=PermanentError),
]


def secrets(base_url):
    return {"url_env": base_url + PATH + QUERY}


def settings(base_url, folder):
    return {"url_env": "TEAMS_URL"}
