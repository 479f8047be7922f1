"""A real PostgreSQL with TLS, started by the tests in a directory of its own."""

import asyncio
import contextlib
import os
import pwd
import signal
import subprocess

import asyncpg
import trustme

from tests.receiver import free_port

PASSWORD = "planted-password"


class Postgres:
    """A server of its own, run by an ordinary user: PostgreSQL refuses to be root's."""

    def __init__(self, programs, folder):
        self.programs, self.folder, self.port = programs, folder, free_port()
        self.user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        if self.user is not None:
            os.chown(folder, self.user.pw_uid, self.user.pw_gid)
        (folder / "password").write_text(PASSWORD)
        (folder / "password").chmod(0o644)
        self.authority = trustme.CA()
        self.ca_file = folder / "ca.pem"
        self.authority.cert_pem.write_to_path(self.ca_file)
        self.certify(self.authority.issue_cert("localhost", "127.0.0.1"))
        self.run("initdb", "-D", str(folder / "data"), "-U", "shop", "-A", "scram-sha-256", "--no-sync",
                 "--pwfile", str(folder / "password"))  # fmt: skip
        with (folder / "data" / "postgresql.conf").open("a") as settings:
            settings.write("ssl = on\n")

    @property
    def options(self):
        return {} if self.user is None else {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}

    def run(self, program, *arguments):
        subprocess.run(
            [self.programs / program, *arguments], check=True, capture_output=True, cwd=self.folder, **self.options
        )

    def start(self):
        self.process = subprocess.Popen(
            [self.programs / "postgres", "-D", self.folder / "data", "-p", str(self.port), "-k", self.folder,
             "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "max_connections=20",
             "-c", f"ssl_cert_file={self.folder}/cert.pem", "-c", f"ssl_key_file={self.folder}/key.pem"],
            cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **self.options,
        )  # fmt: skip

    def certify(self, certificate):
        """Write the certificate that the server shows from its next start, or `reload`, on."""
        (self.folder / "cert.pem").write_bytes(b"".join(each.bytes() for each in certificate.cert_chain_pems))
        (self.folder / "key.pem").write_bytes(certificate.private_key_pem.bytes())
        (self.folder / "key.pem").chmod(0o600)  # PostgreSQL takes no other, and only its own
        if self.user is not None:
            os.chown(self.folder / "key.pem", self.user.pw_uid, self.user.pw_gid)

    async def reload(self):
        """Return when new connections are made with what the files hold now."""
        connection = await self.connect()
        before = await connection.fetchval("SELECT pg_conf_load_time()")
        await connection.execute("SELECT pg_reload_conf()")
        await connection.close()
        async with asyncio.timeout(60):
            while True:
                connection = await self.connect()
                loaded = await connection.fetchval("SELECT pg_conf_load_time()")
                await connection.close()
                if loaded > before:
                    return

    async def restart(self):
        """Start it again after a kill: it refuses while children of the old one, which see that and end, are there."""
        async with asyncio.timeout(60):
            while True:
                self.process.wait()
                self.start()
                with contextlib.suppress(TimeoutError):
                    return await (await self.connect(within_s=5)).close()
                self.process.kill()

    def stop(self):
        self.process.send_signal(signal.SIGCONT)
        self.process.send_signal(signal.SIGINT)  # ends at once, what is under way is rolled back
        self.process.wait(60)

    def dsn(self, user="shop", password=PASSWORD, database="postgres", host="127.0.0.1"):
        return f"postgresql://{user}:{password}@{host}:{self.port}/{database}"

    async def connect(self, within_s=60):
        async with asyncio.timeout(within_s):
            while True:
                try:
                    return await asyncpg.connect(self.dsn(), ssl=False)
                except (OSError, asyncpg.CannotConnectNowError):
                    await asyncio.sleep(0.05)
