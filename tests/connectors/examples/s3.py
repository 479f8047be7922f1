import re

from connectors.errors import CredentialsRefused, PermanentError, RateLimited, TransientError
from tests.connectors.examples import Said

SECRETS = {"secret_access_key_env": "planted+secret/1234567890"}
PARAMETERS = {"put_object": {"key": "2026/order 7.json", "json": {"order": 7}, "metadata": {"Source": "shop"}}}
SENT = {"put_object": ("PUT", "/orders/in/2026/order%207.json", {"order": 7})}
ANSWERS = {"put_object": Said(200, b"", {"ETag": '"9b2cf535f27731c974343645a3985328"'})}
MADE = {"put_object": "object in/2026/order 7.json"}


def error(code, message="no"):
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return text.encode()


REFUSALS = [
    Said(503, error("SlowDown", "Please reduce your request rate."), kind=RateLimited, says="SlowDown"),
    Said(503, error("ServiceUnavailable"), kind=TransientError, says="ServiceUnavailable"),
    Said(500, error("InternalError"), kind=TransientError),
    Said(403, error("AccessDenied"), kind=CredentialsRefused, says="AccessDenied"),
    Said(403, error("SignatureDoesNotMatch"), kind=CredentialsRefused),
    Said(403, error("RequestTimeTooSkewed"), kind=TransientError, says="clock"),
    Said(400, error("ExpiredToken"), kind=CredentialsRefused),
    Said(400, error("RequestTimeout"), kind=TransientError),
    Said(404, error("NoSuchBucket"), kind=CredentialsRefused, says="NoSuchBucket"),
    Said(409, error("OperationAborted"), kind=TransientError),
    Said(412, error("PreconditionFailed"), kind=PermanentError),
]


def settings(base_url, folder):
    return {
        "base_url": base_url,
        "addressing": "path",
        "bucket": "orders",
        "prefix": "in/",
        "access_key_id": "AKIDEXAMPLE",
        "secret_access_key_env": "S3_SECRET",
    }


def is_authentic(request):
    authorization = request.header("authorization")
    signed = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/\d{8}/us-east-1/s3/aws4_request, "
        r"SignedHeaders=(.*), Signature=[0-9a-f]{64}",
        authorization,
    )
    return {"host", "x-amz-date", "x-amz-content-sha256", "x-amz-meta-source"} <= set(signed[1].split(";"))
