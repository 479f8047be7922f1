"""What the Dockerfile says, and the rules that it keeps beside hadolint's."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PINNED = re.compile(r"\S+:\d+\.\d+\.\d+\S*(@sha256:[0-9a-f]{64})?")
_COMPILERS = re.compile(r"\b(gcc|g\+\+|clang|build-essential|apt-get install|apk add)\b")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: its word in upper case, and what follows, continued lines put together."""

    word: str
    rest: str

    def arguments(self) -> list[str]:
        """Return the arguments: of the JSON form as they are, else split as a shell would."""
        if self.rest.startswith("["):
            arguments: list[str] = json.loads(self.rest)
            return arguments
        return shlex.split(self.rest)


def parse(text: str) -> list[Instruction]:
    """Return the instructions in order, comments left out."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    whole = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [_instruction(line) for line in whole.splitlines() if line.strip()]


def _instruction(line: str) -> Instruction:
    word, _, rest = line.strip().partition(" ")
    return Instruction(word.upper(), rest.strip())


def stages(instructions: list[Instruction]) -> list[list[Instruction]]:
    """Return the instructions of each stage, its FROM first."""
    found: list[list[Instruction]] = []
    for instruction in instructions:
        if instruction.word == "FROM":
            found.append([])
        found[-1].append(instruction)
    return found


def last(stage: list[Instruction], word: str) -> Instruction | None:
    """Return the instruction that counts where the last one of its kind does."""
    return next((instruction for instruction in reversed(stage) if instruction.word == word), None)


def healthcheck(stage: list[Instruction]) -> list[str]:
    """Return the command of a stage's HEALTHCHECK; none without one."""
    instruction = last(stage, "HEALTHCHECK")
    _, found, command = instruction.rest.partition("CMD ") if instruction else ("", "", "")
    return Instruction("CMD", command).arguments() if found else []


def mistakes(path: Path) -> Iterator[str]:
    """Yield every rule that the file breaks."""
    every = stages(parse(path.read_text()))
    for stage in every:
        if not _PINNED.fullmatch(stage[0].arguments()[0]):
            yield f"{stage[0].rest}: the base is not pinned to a full version"
    result = every[-1]
    user = last(result, "USER")
    if user is None or not re.fullmatch(r"[1-9]\d*:[1-9]\d*", user.rest):
        yield "the result does not run as a user other than root, given by number"
    if len(every) < 2 or any(_COMPILERS.search(i.rest) for i in result if i.word == "RUN"):
        yield "the result is not free of what built it"
    if not healthcheck(result):
        yield "there is no HEALTHCHECK"
    entry = last(result, "ENTRYPOINT")
    if entry is None or not entry.rest.startswith("["):
        yield "ENTRYPOINT is not in the JSON form: a shell would take the signals"
    stop = last(result, "STOPSIGNAL")
    if stop is None or stop.rest != "SIGTERM":
        yield "STOPSIGNAL is not SIGTERM, which drains"
    yield from (f"RUN {i.rest[:60]}: libraries without hashes" for s in every for i in s if _unpinned(i))


def _unpinned(instruction: Instruction) -> bool:
    installs = instruction.word == "RUN" and re.search(r"\bpip\b.* install ", instruction.rest)
    return bool(installs) and not re.search(r"--require-hashes|--no-deps dist/", instruction.rest)
