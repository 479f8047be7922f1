import pytest
from pydantic import ValidationError

from connectors.registry import UnknownConnector, connector_names, load_connector
from connectors.settings import DestinationSettings

HTTP = load_connector("http").settings_model


def test_the_defaults_are_those_of_the_routing_table():
    settings = DestinationSettings(connector="log")
    assert (settings.timeout_s, settings.concurrency, settings.rate) == (10, 50, None)
    assert (settings.retry.attempts, settings.retry.backoff_s) == (3, (2, 10))
    assert settings.delays_s == [60, 120, 240, 480, 960]
    assert (settings.circuit.failures, settings.circuit.open_s) == (5, 30)


@pytest.mark.parametrize(
    "keys",
    [
        {"timeout_s": 0}, {"timeout_s": float("inf")}, {"timeout_s": float("nan")}, {"concurrency": 0}, {"rate": "10"},
        {"rate": "0/s"}, {"rate": "10/s\n"}, {"rate": "1_0/s"}, {"rate": "\u0661/s"}, {"retry": {"attempts": 0}},
        {"retry": {"backoff_s": [5, 2]}}, {"delays_s": [0]}, {"circuit": {"failures": 0}}, {"token_env": "A B"},
        {"base_url": "ftp://x"}, {"headers": {"Authorization": "x"}}, {"headers": {"X": "a\nb"}}, {"unknown": 1},
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(keys):
    with pytest.raises(ValidationError):
        HTTP.model_validate({"connector": "http", "base_url": "https://a.example", **keys})


def test_secrets_are_named_and_never_held():
    settings = HTTP.model_validate({"connector": "http", "base_url": "https://a.example", "token_env": "CRM_TOKEN"})
    assert settings.secret_envs() == {"token_env": ["CRM_TOKEN"]}
    assert settings.endpoint({"token_env": "s3cret"}).headers["authorization"] == "Bearer s3cret"
    assert "s3cret" not in repr(settings)
    assert HTTP.model_validate({"connector": "http", "base_url": "https://a.example"}).secret_envs() == {}


def test_an_unknown_connector_says_which_there_are():
    with pytest.raises(UnknownConnector, match=r"airtable, .*http, .*zapier") as caught:
        load_connector("slakc")
    assert caught.value.known == connector_names()


@pytest.mark.parametrize("name", ["", "../http", "http.client", "__init__"])
def test_a_name_is_not_a_path(name):
    with pytest.raises(UnknownConnector):
        load_connector(name)
