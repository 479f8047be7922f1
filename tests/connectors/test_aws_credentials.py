"""Keys that AWS's default chain finds: files, and the services of a container, an instance and STS on loopback."""

import asyncio
import json
import re
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import pytest
import structlog
from moto.server import ThreadedMotoServer

from connectors.errors import CredentialsRefused, Unreachable
from connectors.registry import load_connector
from tests.receiver import free_port

HOUR_S = 3600
ROLE = "/latest/meta-data/iam/security-credentials/"


class Metadata:
    """The metadata service of a container (any path) and of an instance: each answer has keys of its own."""

    def __init__(self):
        self.lasts_s = HOUR_S
        self.status = 200
        self.answers = 0
        self.open = threading.Event()  # closed, the service hangs
        self.open.set()
        self.asked = threading.Event()
        service = self

        class Answering(BaseHTTPRequestHandler):
            def do_GET(self):
                service.asked.set()
                service.open.wait(60)
                text = "orders-role" if self.path == ROLE else json.dumps(service.keys())
                self.answer(service.status, text)

            def do_PUT(self):
                self.answer(200, "planted-imds-token")

            def answer(self, status, text):
                self.send_response(status)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def keys(self):
        self.answers += 1
        expires = datetime.now(UTC) + timedelta(seconds=self.lasts_s)
        return {
            "Code": "Success",
            "AccessKeyId": f"AKID{self.answers}",
            "SecretAccessKey": f"planted-secret-{self.answers}",
            "Token": f"planted-token-{self.answers}",
            "Expiration": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    def stop(self):
        self.open.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def metadata():
    metadata = Metadata()
    yield metadata
    metadata.stop()


@pytest.fixture(autouse=True)
def nowhere(monkeypatch, tmp_path):
    """Nothing of AWS that the machine may have, and a metadata service that nobody is at."""
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ROLE_ARN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE", "BOTO_CONFIG"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{free_port()}/")
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def in_container(metadata, monkeypatch):
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", metadata.url + "/role")


@pytest.fixture
def open_s3(service, open_destination):
    async def open_it(**keys):
        own = {"base_url": service.base_url, "addressing": "path", "bucket": "orders", "credentials": "default_chain"}
        own |= {"retry": {"attempts": 1}, "timeout_s": 30, **keys}
        return await open_destination("s3", own)

    return open_it


async def put(destination, key="a"):
    async def go():
        pass

    return await destination.call("put_object", {"key": key, "body": "x"}, idempotency_key="5f" * 32, before_attempt=go)


def signed_by(received):
    """Return the id of the keys and the token that a request came with."""
    key_id = received.header("authorization").partition("Credential=")[2].partition("/")[0]
    return key_id, received.header("x-amz-security-token")


def refuse(service, code, status=400, message="no"):
    service.answer(status, body=f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode())


async def test_a_containers_keys_are_fetched_once_while_they_last(service, open_s3, metadata, in_container):
    s3 = await open_s3()
    await asyncio.gather(*(put(s3, key=str(number)) for number in range(20)))
    assert metadata.answers == 1
    assert {signed_by(each) for each in service.received} == {("AKID1", "planted-token-1")}


async def test_an_instances_keys(service, open_s3, metadata, monkeypatch):
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.url + "/")
    await put(await open_s3())
    assert signed_by(service.received[0]) == ("AKID1", "planted-token-1")


async def test_keys_that_are_about_to_expire_are_not_used(service, open_s3, metadata, in_container):
    s3 = await open_s3()
    metadata.lasts_s = 30
    await put(s3)
    metadata.lasts_s = HOUR_S
    fetched = metadata.answers
    for _ in range(2):
        await put(s3)
    first, *others = [signed_by(each)[0] for each in service.received]
    assert others == [f"AKID{fetched + 1}"] * 2 != [first] * 2


async def test_nobody_waits_for_the_renewal_of_keys_that_still_hold(service, open_s3, metadata, in_container):
    s3 = await open_s3()
    metadata.lasts_s = 300
    await put(s3)
    metadata.lasts_s = HOUR_S
    metadata.open.clear()
    metadata.asked.clear()
    await put(s3)
    async with asyncio.timeout(60):
        while not metadata.asked.is_set():
            await asyncio.sleep(0.01)
    await put(s3)
    first, second, third = [signed_by(each)[0] for each in service.received]
    assert first == second == third
    metadata.open.set()
    async with asyncio.timeout(60):
        while signed_by(service.received[-1])[0] == first:
            await put(s3)
            await asyncio.sleep(0.01)


async def test_a_renewal_that_fails_is_told_and_the_keys_are_used_while_they_hold(
    service, open_s3, metadata, in_container
):
    s3 = await open_s3()
    metadata.lasts_s = 300
    await put(s3)
    metadata.status = 500
    with structlog.testing.capture_logs() as lines:
        await put(s3)
        async with asyncio.timeout(60):
            while not [line for line in lines if line["event"] == "aws_credentials_not_renewed"]:
                await asyncio.sleep(0.01)
    await put(s3)
    assert len({signed_by(each) for each in service.received}) == 1
    assert "planted" not in str(lines)


async def test_the_loop_goes_on_while_the_chain_hangs(service, open_s3, metadata, in_container):
    s3 = await open_s3()
    metadata.open.clear()
    work = asyncio.create_task(put(s3))
    async with asyncio.timeout(60):
        while not metadata.asked.is_set():
            await asyncio.sleep(0.01)
    metadata.open.set()  # by this loop, which therefore runs
    await work
    assert signed_by(service.received[0])[0].startswith("AKID")


@pytest.mark.parametrize("trouble", ["nobody there", "an error", "no role"])
async def test_a_service_that_gives_no_keys_is_an_outage_that_says_so(service, open_s3, metadata, monkeypatch, trouble):
    if trouble == "an error":
        metadata.status = 500
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", metadata.url)
    elif trouble == "no role":
        metadata.status = 404
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.url + "/")
    s3 = await open_s3()
    told = await asyncio.gather(*(put(s3) for _ in range(3)), return_exceptions=True)
    assert len({id(error) for error in told}) == 3  # each is noted on by its own call
    for error in told:
        assert type(error) is Unreachable
        assert re.match("the default chain of AWS (has no|gives no) credentials now", str(error))
    assert service.received == []
    metadata.status = 200
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", metadata.url)
    await put(s3)
    assert len(service.received) == 1


async def test_keys_that_were_rotated_in_a_file_are_found(service, open_s3, monkeypatch, tmp_path):
    file = tmp_path / "AWS_SHARED_CREDENTIALS_FILE"
    file.write_text("[default]\naws_access_key_id = OLD\naws_secret_access_key = planted-old\n")
    s3 = await open_s3()
    await put(s3)
    file.write_text("[default]\naws_access_key_id = NEW\naws_secret_access_key = planted-new\n")
    refuse(service, "InvalidAccessKeyId", 403)
    service.answer(200)
    await put(s3)
    assert [signed_by(each) for each in service.received] == [("OLD", None), ("OLD", None), ("NEW", None)]


async def test_keys_that_are_refused_and_have_no_successor_pause_the_destination(service, open_s3, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted-secret")
    s3 = await open_s3()
    refuse(service, "InvalidAccessKeyId", 403)
    with pytest.raises(CredentialsRefused, match="InvalidAccessKeyId"):
        await put(s3)
    assert len(service.received) == 1


async def test_what_a_service_repeats_of_the_keys_is_masked(service, open_s3, metadata, in_container):
    refuse(service, "AccessDenied", 403, message="planted-token-1 planted-secret-1")
    with pytest.raises(CredentialsRefused) as caught:
        await put(await open_s3())
    assert "planted" not in str(caught.value) + caught.value.excerpt


@pytest.mark.parametrize(
    "environment", [{"AWS_PROFILE": "no-such"}, {"AWS_ACCESS_KEY_ID": "planted"}], ids=lambda each: next(iter(each))
)
async def test_a_chain_that_is_configured_wrongly_pauses_the_destination(open_s3, monkeypatch, environment):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(CredentialsRefused, match="configured wrongly") as caught:
        await put(await open_s3())
    assert "planted" not in str(caught.value)


async def test_a_web_identity_writes_to_a_real_bucket(open_destination, monkeypatch, tmp_path):
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        url = "http://{}:{}".format(*server.get_host_and_port())
        (tmp_path / "token").write_text("planted-identity")
        role = {"AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/orders", "AWS_ENDPOINT_URL_STS": url}
        for name, value in {**role, "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token")}.items():
            monkeypatch.setenv(name, value)
        keys = {"aws_access_key_id": "AKID", "aws_secret_access_key": "secret"}
        bucket = boto3.resource("s3", endpoint_url=url, region_name="us-east-1", **keys).create_bucket(
            Bucket="identity"
        )
        own = {"base_url": url, "addressing": "path", "bucket": "identity", "credentials": "default_chain"}
        await put(await open_destination("s3", {**own, "retry": {"attempts": 1}, "timeout_s": 30}))
        assert bucket.Object("a").get()["Body"].read() == b"x"
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://127.0.0.1:{free_port()}")
        with pytest.raises(Unreachable, match="no credentials now"):
            await put(await open_destination("s3", {**own, "retry": {"attempts": 1}, "timeout_s": 30}))
    finally:
        server.stop()


async def test_nothing_of_the_environment_is_used_unless_the_destination_says_so(
    service, open_destination, metadata, in_container, monkeypatch
):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AMBIENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "ambient")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "ambient")
    own = {"base_url": service.base_url, "addressing": "path", "bucket": "orders", "access_key_id": "OWN"}
    await put(
        await open_destination("s3", {**own, "secret_access_key_env": "S"}, secrets={"secret_access_key_env": "s"})
    )
    assert signed_by(service.received[0]) == ("OWN", None)
    assert metadata.answers == 0


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({}, "needs access_key_id and secret_access_key_env, or credentials: default_chain"),
        ({"access_key_id": "AKID"}, "needs secret_access_key_env, or"),
        ({"secret_access_key_env": "S"}, "needs access_key_id, or"),
        ({"credentials": "default_chain", "access_key_id": "AKID"}, "default_chain goes not with access_key_id"),
        ({"credentials": "default_chain", "session_token_env": "T"}, "default_chain goes not with session_token_env"),
    ],
)
def test_a_destination_has_one_source_of_keys(keys, says):
    with pytest.raises(ValueError, match=says):
        load_connector("s3").settings_model.model_validate({"connector": "s3", "bucket": "orders", **keys})
