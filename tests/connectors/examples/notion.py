from connectors.errors import CredentialsRefused, PermanentError, RateLimited, TransientError
from tests.connectors.examples import Said

SECRETS = {"token_env": "ntn_planted1234567890"}
ID = "59833787-2cf9-4fdf-8782-e53db20768a5"
BLOCK = {"object": "block", "type": "paragraph", "paragraph": {"rich_text": [{"text": {"content": "Paid"}}]}}
PARAMETERS = {
    "create_page": {"data_source_id": ID, "title": "Order 7", "properties": {"Total": {"number": 12}}},
    "update_page": {"page_id": ID, "properties": {"Total": {"number": 13}}},
    "append_blocks": {"block_id": ID, "children": [BLOCK]},
}
SENT = {
    "create_page": (
        "POST",
        "/v1/pages",
        {
            "parent": {"data_source_id": ID},
            "properties": {"Total": {"number": 12}, "title": {"title": [{"text": {"content": "Order 7"}}]}},
        },
    ),
    "update_page": ("PATCH", f"/v1/pages/{ID}", {"properties": {"Total": {"number": 13}}}),
    "append_blocks": ("PATCH", f"/v1/blocks/{ID}/children", {"children": [BLOCK]}),
}
ANSWERS = {
    "create_page": Said(body={"object": "page", "id": ID}),
    "update_page": Said(body={"object": "page", "id": ID}),
    "append_blocks": Said(body={"object": "list", "results": []}),
}
MADE = {"create_page": f"page {ID}", "update_page": f"page {ID}"}


def error(status, code, message, kind, **more):
    body = {"object": "error", "status": status, "code": code, "message": message}
    return Said(status, body, kind=kind, says=code, **more)


REFUSALS = [
    error(429, "rate_limited", "slow down", RateLimited, headers={"Retry-After": "5"}, wait_s=5),
    error(529, "service_overload", "overloaded", RateLimited, headers={"Retry-After": "7"}, wait_s=7),
    error(400, "validation_error", "Total is expected to be number.", PermanentError),
    error(401, "unauthorized", "API token is invalid.", CredentialsRefused),
    error(403, "restricted_resource", "no insert capability", CredentialsRefused),
    error(404, "object_not_found", "Could not find page", PermanentError),
    error(409, "conflict_error", "Conflict occurred while saving.", TransientError),
    error(503, "service_unavailable", "try later", TransientError),
]


def settings(base_url, folder):
    return {"base_url": base_url, "token_env": "NOTION_TOKEN"}
