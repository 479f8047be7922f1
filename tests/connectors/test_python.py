"""The user's functions run in a process of their own, and whatever they do there harms nobody else."""

import asyncio
import gc
import os
import sys
import time

import pytest

from connectors.errors import PermanentError, RateLimited, TimeoutExceeded, TransientError, Unreachable
from connectors.registry import load_connector

MODULE = """
from __future__ import annotations
import asyncio, ctypes, os, re, socket, subprocess, sys, time
from dataclasses import dataclass
from connectors.errors import PermanentError, RateLimited
import beside

@dataclass
class Order:
    sku: str

async def order(call, sku, count=1):
    return f"{Order(sku).sku} {count} {call.idempotency_key[:2]} {call.destination} {beside.NAME}"

class Refused(PermanentError): pass

async def refuse(call): raise Refused("no such customer", status=404)
async def tell(call): raise PermanentError("the database refused " + os.environ["HEADRACE_TEST_PASSWORD"])
async def give(call): return "as " + os.environ["HEADRACE_TEST_PASSWORD"]
async def limited(call): raise RateLimited("slowly", retry_after_s=7)
async def defect(call): raise KeyError("private")
async def leave(call): sys.exit(3)
async def cancel(call): raise asyncio.CancelledError
async def slow(call): await asyncio.sleep(60)
async def block(call): time.sleep(60)
async def spin(call):
    while True: pass
async def crash(call): ctypes.string_at(0)
async def end(call): os._exit(7)
async def stubborn(call):
    while True:
        try: await asyncio.sleep(60)
        except asyncio.CancelledError: pass
async def pid(call): return str(os.getpid())
async def start(call): return str(subprocess.Popen(["sleep", "600"]).pid)
async def leave_child(call):
    child = os.fork()
    if child == 0:
        time.sleep(600)
        os._exit(0)
    with open(__file__ + ".child", "w") as file:
        file.write(str(child))
    os._exit(7)
async def deafen(call):
    socket.socket(fileno=os.dup(int(sys.argv[1]))).shutdown(socket.SHUT_RDWR)
    await search(call)
async def search(call):  # no other thread of the process runs meanwhile
    re.match("(a+)+$", "a" * 40 + "b")
async def _hidden(call): pass
def plain(call): pass
"""


async def send(destination, function, **args):
    async def go():
        pass

    parameters = {"function": function, "args": args}
    return await destination.call("call", parameters, idempotency_key="5f" * 32, before_attempt=go)


@pytest.fixture
def open_own(open_destination, tmp_path):
    (tmp_path / "own.py").write_text(MODULE)
    (tmp_path / "beside.py").write_text("NAME = 'beside'")
    model = load_connector("python").settings_model

    async def open_it(masked=(), **keys):
        keys = {"connector": "python", "module": "own.py", "retry": {"attempts": 1}, **keys}
        settings = model.model_validate(keys, context={"base_dir": tmp_path})
        return await open_destination("python", settings.model_dump(), masked=masked)

    return open_it


async def test_it_calls_the_users_function(open_own):
    assert (await send(await open_own(), "order", sku="a", count=2)).made == "a 2 5f shop beside"


@pytest.mark.parametrize(
    ("function", "args", "kind", "says"),
    [
        ("refuse", {}, PermanentError, "no such customer"),
        ("limited", {}, RateLimited, "slowly"),
        ("unknown", {}, PermanentError, "no async function 'unknown'"),
        ("plain", {}, PermanentError, "no async function"),
        ("_hidden", {}, PermanentError, "no async function"),
        ("order", {}, PermanentError, "missing a required argument: 'sku'"),
        ("order", {"sku": "a", "z": 1}, PermanentError, "unexpected keyword argument 'z'"),
        ("order", {"sku": "a", "call": 1}, PermanentError, "multiple values"),
        ("defect", {}, TransientError, "defect raised KeyError at own.py:"),
        ("leave", {}, TransientError, "leave raised SystemExit"),
        ("cancel", {}, TransientError, "cancel raised CancelledError"),
        ("crash", {}, Unreachable, "ended by itself .SIGSEGV"),
        ("end", {}, Unreachable, "ended by itself .exit code 7"),
        ("leave_child", {}, Unreachable, "ended by itself .exit code 7"),
        ("deafen", {}, Unreachable, "no longer listens|ended by itself .SIGKILL"),
    ],
)
async def test_what_the_function_raises(open_own, function, args, kind, says):
    own = await open_own()
    with pytest.raises(kind, match=says) as caught:
        await send(own, function, **args)
    assert type(caught.value) is kind
    assert "private" not in str(caught.value)
    assert own.in_flight == 0
    if kind is RateLimited:
        assert caught.value.retry_after_s == 7
    else:
        assert (await send(own, "order", sku="b")).attempts == 1  # the next call finds a process


async def test_what_a_function_says_shows_no_secret_of_the_routing_table(open_own, monkeypatch):
    monkeypatch.setenv("HEADRACE_TEST_PASSWORD", "s3cret-of-another")
    own = await open_own(masked=["s3cret-of-another"])
    with pytest.raises(PermanentError, match=r"the database refused \*\*\*$") as caught:
        await send(own, "tell")
    assert "s3cret" not in str(caught.value.failures)
    assert (await send(own, "give")).made == "as ***"


async def test_a_function_that_blocks_is_killed_and_holds_up_nobody(open_own):
    strange: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: strange.append(context))
    blocked, other = await open_own(timeout_s=1), await open_own()
    before = (await send(blocked, "pid")).made
    for function in ("block", "spin", "stubborn"):
        stuck = asyncio.create_task(send(blocked, function))
        started_s = time.monotonic()
        while not stuck.done():
            await asyncio.wait_for(send(other, "order", sku="b"), 10)
        with pytest.raises(TimeoutExceeded):
            await stuck
        assert time.monotonic() - started_s < 10
        async with asyncio.timeout(30):
            while (after := await pid_of(blocked)) in (None, before):
                await asyncio.sleep(0.05)
        before = after
    gc.collect()
    assert strange == []  # such as an exception that nobody has seen, which asyncio logs as an error


async def pid_of(destination):
    try:
        return (await send(destination, "pid")).made
    except TransientError:
        return None  # killed with the one that blocked, or waiting behind it


async def test_a_function_that_only_waits_is_cancelled_and_its_process_stays(open_own):
    own = await open_own(timeout_s=1)
    before = (await send(own, "pid")).made
    with pytest.raises(TimeoutExceeded):
        await send(own, "slow")
    task = asyncio.create_task(send(own, "slow"))
    while own.in_flight == 0:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await send(own, "pid")).made == before


async def test_closing_leaves_no_process_behind(open_own):
    own = await open_own()
    pids = [int((await send(own, "pid")).made), int((await send(own, "start")).made)]
    await own.close()
    async with asyncio.timeout(30):
        while any(is_alive(pid) for pid in pids):
            await asyncio.sleep(0.05)


async def test_what_a_process_has_started_ends_with_it(open_own, tmp_path):
    own = await open_own()
    with pytest.raises(Unreachable):
        await send(own, "leave_child")
    child = int((tmp_path / "own.py.child").read_text())
    async with asyncio.timeout(30):
        while is_alive(child):
            await asyncio.sleep(0.05)


WORKER = """
import asyncio, sys
from connectors.connector import Call
from connectors.user_process import UserProcess

async def main():
    own = UserProcess(sys.argv[1])
    call = Call(None, None, "k", "own")
    print(await own.run(call, "pid", {}), flush=True)
    await own.run(call, sys.argv[2], {})

asyncio.run(main())
"""


@pytest.mark.parametrize("function", ["search", "spin", "slow"])
async def test_the_functions_end_with_a_worker_that_is_killed(open_own, tmp_path, function):
    await open_own()
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WORKER, str(tmp_path / "own.py"), function, stdout=asyncio.subprocess.PIPE
    )
    pid = int(await worker.stdout.readline())
    await asyncio.sleep(0.5)  # the function is called by then, or soon
    worker.kill()
    await worker.wait()
    async with asyncio.timeout(30):
        while is_alive(pid):
            await asyncio.sleep(0.05)


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
    except OSError:
        os.kill(pid, 0)
        return True


@pytest.mark.parametrize("module", ["missing.py", "../x", "a b", "", "a..b"])
def test_a_module_that_cannot_be_is_found_before_anything_starts(module, tmp_path):
    model = load_connector("python").settings_model
    with pytest.raises(ValueError, match=r"no file|neither"):
        model.model_validate({"connector": "python", "module": module}, context={"base_dir": tmp_path})


@pytest.mark.parametrize("source", ["import nowhere", "1 +", "raise SystemExit(1)", "import os; os._exit(1)"])
async def test_a_module_that_does_not_import_stops_the_start(open_destination, tmp_path, source):
    (tmp_path / "broken.py").write_text(source)
    with pytest.raises(ValueError, match="does not import"):
        await open_destination("python", {"module": str(tmp_path / "broken.py")})
