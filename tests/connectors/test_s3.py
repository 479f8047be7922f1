"""Objects as a real S3 server keeps them (moto's, which checks requests as S3 does, but not their signatures)."""

import hashlib
from urllib.parse import quote

import boto3
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer

from connectors.endpoint import join_url
from connectors.errors import CredentialsRefused, PermanentError
from connectors.registry import load_connector


@pytest.fixture(scope="module")
def moto():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(moto):
    resource = boto3.resource(
        "s3", endpoint_url=moto, region_name="us-east-1", aws_access_key_id="AKID", aws_secret_access_key="secret"
    )
    made = resource.create_bucket(Bucket="orders")
    yield made
    made.objects.all().delete()


@pytest.fixture
def open_s3(moto, open_destination):
    async def open_it(**keys):
        own = {
            "base_url": moto,
            "addressing": "path",
            "bucket": "orders",
            "access_key_id": "AKID",
            "retry": {"attempts": 1},
        }
        own |= {"secret_access_key_env": "S", "retry": {"attempts": 1}, **keys}
        return await open_destination("s3", own, secrets={"secret_access_key_env": "planted-secret"})

    return open_it


async def put(destination, **parameters):
    async def go():
        pass

    return await destination.call("put_object", parameters, idempotency_key="5f" * 32, before_attempt=go)


async def test_it_writes_text_bytes_and_json(open_s3, bucket):
    s3 = await open_s3(prefix="in/")
    await put(s3, key="a.txt", body="ü", metadata={"Order": "7"})
    await put(s3, key="b c/ü+&=.bin", body_base64="AP8=", content_type="image/png")
    assert (await put(s3, key="c.json", json={"a": 1})).made == "object in/c.json"
    found = {each.key: each.get() for each in bucket.objects.all()}
    assert {key: each["Body"].read() for key, each in found.items()} == {
        "in/a.txt": "ü".encode(),
        "in/b c/ü+&=.bin": b"\x00\xff",
        "in/c.json": b'{"a":1}',
    }
    assert found["in/a.txt"]["Metadata"] == {"order": "7"}
    assert found["in/b c/ü+&=.bin"]["ContentType"] == "image/png"


async def test_a_repeat_writes_the_same_object_again_and_no_other_is_replaced_against_ones_will(open_s3, bucket):
    s3 = await open_s3()
    for _ in range(2):
        await put(s3, key="a", body="1")
    assert [each.key for each in bucket.objects.all()] == ["a"]
    with pytest.raises(PermanentError, match="not to be replaced"):
        await put(s3, key="a", body="2", replace=False)
    assert bucket.Object("a").get()["Body"].read() == b"1"


@pytest.mark.parametrize("key", ["../other/a", "a/../../b", "..", "a/./b", "a\r\nb", "a\x00"])
async def test_no_key_leaves_the_prefix(open_s3, bucket, key):
    with pytest.raises(PermanentError):
        await put(await open_s3(prefix="in/"), key=key, body="x")
    assert list(bucket.objects.all()) == []


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=st.text(min_size=1, max_size=30))
def test_any_key_stays_under_the_prefix_or_is_refused(key, moto):
    try:
        url = join_url(moto + "/orders", "/" + quote("in/" + key, safe="/-_.~"))
    except (ValueError, UnicodeError):
        return
    assert url.startswith(moto + "/orders/in/")


@pytest.mark.parametrize(
    "parameters",
    [{}, {"body": "x", "json": 1}, {"body": "x", "metadata": {"a": "b\r\nx: 1"}},
     {"body": "x", "metadata": {"a b": "c"}},
     {"body": "x", "content_type": "a/b\r\nx: 1"}, {"body_base64": "%"}, {"json": 2**70}],
)  # fmt: skip
async def test_what_makes_no_sense_is_not_written(open_s3, bucket, parameters):
    with pytest.raises(PermanentError):
        await put(await open_s3(), key="a", **parameters)
    assert list(bucket.objects.all()) == []


async def test_a_bucket_that_is_not_there_pauses_the_destination(open_s3, moto):
    with pytest.raises(CredentialsRefused, match="NoSuchBucket"):
        await put(await open_s3(bucket="no-such-bucket"), key="a", body="x")


async def test_the_signature_is_that_of_aws_own_library_for_what_was_sent(service, open_destination):
    keys = {"base_url": service.base_url, "addressing": "path", "bucket": "orders", "access_key_id": "AKID"}
    s3 = await open_destination(
        "s3", {**keys, "secret_access_key_env": "S"}, secrets={"secret_access_key_env": "planted"}
    )
    await put(s3, key="a b/ü", body="x", metadata={"order": "7"})
    (received,) = service.received
    names = received.header("authorization").partition("SignedHeaders=")[2].partition(",")[0].split(";")
    headers = {name: received.header(name) for name in names if name != "x-amz-date"}
    again = AWSRequest("PUT", service.base_url + received.path, headers=headers, data=received.body)
    again.context["timestamp"] = received.header("x-amz-date")
    signer = S3SigV4Auth(Credentials("AKID", "planted"), "s3", "us-east-1")
    again.headers["X-Amz-Date"] = received.header("x-amz-date")
    signature = signer.signature(signer.string_to_sign(again, signer.canonical_request(again)), again)
    assert received.header("authorization").endswith("Signature=" + signature)
    assert received.header("x-amz-content-sha256") == hashlib.sha256(b"x").hexdigest()


def test_by_default_the_bucket_stands_in_amazons_host_name():
    model = load_connector("s3").settings_model
    keys = {"connector": "s3", "bucket": "my-orders", "region": "eu-west-1", "access_key_id": "AKID"}
    settings = model.model_validate({**keys, "secret_access_key_env": "S"})
    endpoint = settings.endpoint({"secret_access_key_env": "x"})
    assert endpoint.base_url == "https://my-orders.s3.eu-west-1.amazonaws.com"
