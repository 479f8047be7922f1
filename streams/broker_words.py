"""What an error of aiokafka says, in words: its own text begins with the class."""

from __future__ import annotations

import re

from aiokafka.errors import KafkaError

_JOINT = re.compile(r"(?<=[a-z])(?=[A-Z])")


def said_by(error: BaseException) -> str:
    """Return what went wrong: Kafka's name of the error, as ``TOPIC_AUTHORIZATION_FAILED``, and what is said of it.

    An error that is aiokafka's own has no such name: then it is what is said, else the class in words.
    """
    if not isinstance(error, KafkaError):
        return str(error)
    text = str(error.args[0]) if error.args else ""
    name = str(getattr(error, "message", ""))
    if name:
        return f"{name}: {text}" if text else name
    return text or _JOINT.sub(" ", type(error).__name__.removesuffix("Error")).lower()
