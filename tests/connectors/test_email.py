"""Mail as a real SMTP server gets it: aiosmtpd, with TLS and AUTH."""

import asyncio
import email
import email.policy
import ssl
from dataclasses import dataclass, field

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from connectors.errors import CredentialsRefused, PermanentError, TransientError, Unreachable
from connectors.registry import load_connector

PASSWORD = "planted-password"


@dataclass
class Mailbox:
    mails: list = field(default_factory=list)
    connections: int = 0
    replies: dict = field(default_factory=dict)  # by recipient, or "DATA"
    hang: asyncio.Event | None = None

    async def handle_EHLO(self, server, session, envelope, hostname, responses):  # noqa: N802  aiosmtpd's own name
        session.host_name = hostname
        self.connections += 1
        return responses

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802  aiosmtpd's own name
        reply = self.replies.get(address, "250 OK")
        if reply.startswith("250"):
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(self, server, session, envelope):  # noqa: N802  aiosmtpd's own name
        if "DATA" in self.replies:
            return self.replies["DATA"]
        if "hang" in self.replies:
            await asyncio.sleep(3600)
        self.mails.append((envelope.mail_from, envelope.rcpt_tos, envelope.original_content))
        return "250 Queued"

    def parsed(self, index=0):
        return email.message_from_bytes(self.mails[index][2], policy=email.policy.default)


class Server(Controller):
    def __init__(self, mailbox, context, **options):
        super().__init__(mailbox, hostname="127.0.0.1", port=0, ready_timeout=60, **options)
        self.tls = context

    def _trigger_server(self):  # the port is the system's choice, so it is known once the server listens
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


def check(server, session, envelope, mechanism, data):
    assert isinstance(data, LoginPassword)
    success = (data.login, data.password) == (b"shop", PASSWORD.encode())
    return AuthResult(success=success, handled=False)


@pytest.fixture
def authority(tmp_path):
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    (tmp_path / "ca.pem").write_bytes(authority.cert_pem.bytes())
    return str(tmp_path / "ca.pem"), context


@pytest.fixture
def serve(authority):
    started = []

    def start(mailbox, *, security="starttls", **options):
        _, context = authority
        if security == "starttls":
            options |= {"tls_context": context, "require_starttls": True, "authenticator": check, "auth_required": True}
        elif security == "tls":
            options["ssl_context"] = context
        server = Server(mailbox, context, **options)
        server.start()
        started.append(server)
        return server.port

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def open_email(open_destination, authority):
    async def open_it(port, *, password=PASSWORD, **keys):
        ca_file, _ = authority
        own = {"host": "127.0.0.1", "port": port, "ca_file": ca_file, "retry": {"attempts": 1}}
        own |= {"sender": "Shop <shop@example.com>", "timeout_s": 30, **keys}
        if own.get("security", "starttls") == "starttls":
            own = {"username": "shop", "password_env": "P", **own}
        return await open_destination("email", own, secrets={"password_env": password})

    return open_it


async def send(destination, key="5f" * 32, **parameters):
    async def go():
        pass

    whole = {"to": "ada@example.com", "subject": "Your order", "text": "Thank you", **parameters}
    return await destination.call("send", whole, idempotency_key=key, before_attempt=go)


async def test_text_html_and_a_file_in_one_mail(serve, open_email):
    mailbox = Mailbox()
    destination = await open_email(serve(mailbox))
    settled = await send(
        destination,
        to=["Größe, die <ada@example.com>".replace(",", ""), "bob@bücher.example"],
        cc="cc@example.com",
        bcc="bcc@example.com",
        reply_to="help@example.com",
        subject="Ihre Bestellung ✓",
        html="<p>Thank you</p>",
        attachments=[{"name": "größe.pdf", "content_base64": "JVBERg==", "content_type": "application/pdf"}],
    )
    (sender, recipients, _), mail = mailbox.mails[0], mailbox.parsed()
    assert sender == "shop@example.com"
    assert recipients == ["ada@example.com", "bob@xn--bcher-kva.example", "cc@example.com", "bcc@example.com"]
    assert mail["Subject"] == "Ihre Bestellung ✓"
    assert mail["To"].addresses[0].display_name == "Größe die"
    assert mail["Bcc"] is None
    assert mail["Message-ID"] == f"<{'5f' * 32}@example.com>" == settled.made.removeprefix("mail ")
    assert mail.get_body(("plain",)).get_content().strip() == "Thank you"
    assert mail.get_body(("html",)).get_content().strip() == "<p>Thank you</p>"
    (attachment,) = mail.iter_attachments()
    assert (attachment.get_filename(), attachment.get_content()) == ("größe.pdf", b"%PDF")


@pytest.mark.parametrize("security", ["starttls", "tls", "none"])
async def test_one_connection_is_kept_for_many_mails(serve, open_email, security):
    mailbox = Mailbox()
    destination = await open_email(serve(mailbox, security=security), security=security)
    await asyncio.gather(*(send(destination, key=f"{number:064x}") for number in range(10)))
    assert len(mailbox.mails) == 10
    assert len({mailbox.parsed(number)["Message-ID"] for number in range(10)}) == 10
    assert mailbox.connections == (2 if security == "starttls" else 1)  # STARTTLS asks for a second EHLO


async def test_a_connection_that_the_server_has_ended_is_made_anew(serve, open_email):
    mailbox = Mailbox()
    destination = await open_email(serve(mailbox, timeout=1))
    await send(destination)
    await asyncio.sleep(1.5)  # the server ends what is idle for a second
    await send(destination)
    assert len(mailbox.mails) == 2


@pytest.mark.parametrize(
    ("replies", "kind", "says"),
    [
        ({"ada@example.com": "550 5.1.1 no such user"}, PermanentError, "550 5.1.1 no such user"),
        ({"ada@example.com": "450 4.2.0 greylisted"}, TransientError, "450 4.2.0 greylisted"),
        ({"ada@example.com": "452 4.5.3 too many"}, TransientError, "452"),
        ({"DATA": "554 5.7.1 spam"}, PermanentError, "554 5.7.1 spam"),
        ({"DATA": "451 4.3.0 try later"}, TransientError, "451"),
        ({"DATA": "421 4.3.0 going down"}, Unreachable, "421"),
        ({"DATA": f"550 you said {PASSWORD}"}, PermanentError, r"you said \*\*\*"),
    ],
)
async def test_what_a_reply_means(serve, open_email, replies, kind, says):
    mailbox = Mailbox(replies=replies)
    destination = await open_email(serve(mailbox))
    with pytest.raises(kind, match=says) as caught:
        await send(destination)
    assert type(caught.value) is kind
    mailbox.replies = {}
    await send(destination)
    assert len(mailbox.mails) == 1


@pytest.mark.parametrize(("reply", "state"), [("550 no such user", "closed"), ("421 too many connections", "open")])
async def test_mails_that_are_refused_do_not_open_the_circuit_and_a_server_that_goes_down_does(
    serve, open_email, reply, state
):
    destination = await open_email(serve(Mailbox(replies={"ada@example.com": reply})), circuit={"failures": 2})
    for _ in range(2):
        with pytest.raises((PermanentError, Unreachable)):
            await send(destination)
    assert destination.breaker.state == state


async def test_a_server_that_turns_us_away_makes_no_mail_a_dead_letter(open_email):
    async def turn_away(reader, writer):
        writer.write(b"554 5.7.1 you are on a list\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(turn_away, "127.0.0.1", 0)
    async with server:
        destination = await open_email(server.sockets[0].getsockname()[1], security="none")
        with pytest.raises(Unreachable, match=r"turns us away: 554 5\.7\.1 you are on a list"):
            await send(destination)


async def test_a_mail_that_only_some_recipients_get_is_no_success(serve, open_email):
    mailbox = Mailbox(replies={"bob@example.com": "550 no such user"})
    with pytest.raises(PermanentError, match=r"refused bob@example\.com, and took the mail for the others"):
        await send(await open_email(serve(mailbox)), to=["ada@example.com", "bob@example.com"])
    assert mailbox.mails[0][1] == ["ada@example.com"]


async def test_a_wrong_password_pauses_the_destination(serve, open_email):
    with pytest.raises(CredentialsRefused, match="535") as caught:
        await send(await open_email(serve(Mailbox()), password="planted-wrong"))
    assert "planted" not in str(caught.value)


async def test_a_server_without_starttls_gets_no_password(serve, open_email):
    mailbox = Mailbox()
    with pytest.raises(TransientError):
        await send(await open_email(serve(mailbox, security="none")))
    assert mailbox.mails == []


async def test_a_certificate_of_an_authority_that_is_not_trusted_is_refused(serve, open_email):
    for security in ("starttls", "tls"):
        port = serve(Mailbox(), security=security)
        with pytest.raises(Unreachable, match="certificate is not trusted"):
            await send(await open_email(port, security=security, ca_file=None))


async def test_a_server_by_a_private_name_is_refused(serve, open_email):
    port = serve(Mailbox())
    with pytest.raises(Unreachable, match="localhost has the address"):
        await send(await open_email(port, host="localhost"))
    await send(await open_email(port, host="localhost", allow_private=True))


async def test_a_mail_that_was_cancelled_in_the_middle_leaves_no_connection_half_used(serve, open_email):
    mailbox = Mailbox(replies={"hang": ""})
    destination = await open_email(serve(mailbox), timeout_s=1)
    with pytest.raises(TransientError):
        await send(destination)
    mailbox.replies = {}
    await send(destination)
    assert len(mailbox.mails) == 1


@pytest.mark.parametrize(
    "parameters",
    [
        {"subject": "a\r\nBcc: eve@evil.example"},
        {"to": "ada@example.com\r\nBcc: eve@evil.example"},
        {"to": "ada@example.com, eve@evil.example"},
        {"to": "Ada\n <ada@example.com>"},
        {"sender": "shop@example.com\r\nX: 1"},
        {"reply_to": "a@b.c\r\nX: 1"},
        {"text": None},
        {"text": "\ud800"},
        {"to": []},
        {"attachments": [{"name": "a\r\nX: 1", "content": "x"}]},
        {"attachments": [{"name": "a", "content": "x", "content_type": "text/plain\r\nX: 1"}]},
        {"attachments": [{"name": "a", "content": "x", "content_type": "text/plain; x\r\ny"}]},
    ],
)
async def test_no_header_can_be_slipped_in_and_nothing_odd_is_sent(serve, open_email, parameters):
    mailbox = Mailbox()
    with pytest.raises(PermanentError):
        await send(await open_email(serve(mailbox)), **parameters)
    assert mailbox.mails == []


@pytest.mark.parametrize(
    "keys", [{"password_env": "P"}, {"username": "a", "password_env": "P", "security": "none"}, {"host": "a\r\nb"}]
)
def test_settings_that_do_not_fit_together_are_found_before_anything_starts(keys):
    with pytest.raises(ValueError, match=r"needs username|not sent without TLS|match"):
        load_connector("email").settings_model.model_validate(
            {"connector": "email", "host": "mail.example.com", **keys}
        )
