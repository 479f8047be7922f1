import time

from connectors.errors import CredentialsRefused, PermanentError, RateLimited
from tests.connectors.examples import Said

SECRETS = {"token_env": "github_pat_planted1234567890"}
PARAMETERS = {
    "create_issue": {"repository": "acme/shop", "title": "Refund 7", "body": "…", "labels": ["refund"]},
    "create_comment": {"repository": "acme/shop", "issue": 7, "body": "Paid"},
    "dispatch": {"repository": "acme/shop", "event_type": "paid", "client_payload": {"order": 7}},
    "run_workflow": {"repository": "acme/shop", "workflow": "ship.yml", "ref": "main", "inputs": {"order": "7"}},
}
SENT = {
    "create_issue": ("POST", "/repos/acme/shop/issues", {"title": "Refund 7", "body": "…", "labels": ["refund"]}),
    "create_comment": ("POST", "/repos/acme/shop/issues/7/comments", {"body": "Paid"}),
    "dispatch": ("POST", "/repos/acme/shop/dispatches", {"event_type": "paid", "client_payload": {"order": 7}}),
    "run_workflow": (
        "POST",
        "/repos/acme/shop/actions/workflows/ship.yml/dispatches",
        {"ref": "main", "inputs": {"order": "7"}},
    ),
}
ANSWERS = {
    "create_issue": Said(201, {"id": 1, "number": 1347, "html_url": "https://github.com/acme/shop/issues/1347"}),
    "create_comment": Said(201, {"id": 99, "body": "Paid"}),
    "dispatch": Said(204, b""),
    "run_workflow": Said(200, {"workflow_run_id": 5}),
}
MADE = {"create_issue": "issue acme/shop#1347", "create_comment": "comment 99 on acme/shop#7"}
SECONDARY = {"message": "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}
REFUSALS = [
    Said(403, SECONDARY, {"Retry-After": "60"}, kind=RateLimited, wait_s=60),
    Said(403, SECONDARY, kind=RateLimited, wait_s=60),
    Said(429, SECONDARY, kind=RateLimited, wait_s=60),
    Said(
        403,
        {"message": "API rate limit exceeded for user ID 1."},
        {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(time.time()) + 600)},
        kind=RateLimited,
    ),
    Said(
        403, {"message": "Resource not accessible by personal access token"}, kind=CredentialsRefused, says="accessible"
    ),
    Said(401, {"message": "Bad credentials"}, kind=CredentialsRefused, says="Bad credentials"),
    Said(404, {"message": "Not Found"}, kind=PermanentError),
    Said(410, {"message": "Issues has been disabled in this repository."}, kind=PermanentError, says="disabled"),
    Said(
        422,
        {"message": "Validation Failed", "errors": [{"resource": "Issue", "field": "title", "code": "missing_field"}]},
        kind=PermanentError,
        says="missing_field",
    ),
]


def settings(base_url, folder):
    return {"base_url": base_url, "token_env": "GITHUB_TOKEN", "concurrency": 50}
