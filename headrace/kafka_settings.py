"""What the embedded Kafka is told: one node that is broker and controller, bound to loopback."""

from __future__ import annotations

from pathlib import Path

MESSAGE_BYTES_MAX = 64 * 1024 * 1024


def server_properties(*, port: int, controller_port: int, log_dir: Path) -> str:
    """Return the text of ``server.properties``; what is not named keeps Kafka's default."""
    settings = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": log_dir,
        "auto.create.topics.enable": "false",
        "message.max.bytes": MESSAGE_BYTES_MAX,
        "socket.request.max.bytes": 2 * MESSAGE_BYTES_MAX,
        # One node: every internal topic has one replica, and few partitions, which a start has to load.
        "offsets.topic.num.partitions": 8,
        "offsets.topic.replication.factor": 1,
        "transaction.state.log.num.partitions": 4,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "share.coordinator.state.topic.num.partitions": 4,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        # A broker that was killed is let in again once its old session is over: this is what a restart waits for.
        "broker.heartbeat.interval.ms": 500,
        "broker.session.timeout.ms": 3000,
        "group.initial.rebalance.delay.ms": 0,
        # A year: the offsets of a destination that is paused for long must not be forgotten.
        "offsets.retention.minutes": 365 * 24 * 60,
        # A segment is compacted only once it is closed: a day bounds how long a small compacted topic stays as it is.
        "log.roll.hours": 24,
        "log.segment.bytes": 256 * 1024 * 1024,
        "log.index.size.max.bytes": 2 * 1024 * 1024,
        "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,  # of a heap of 512 MB; the default takes 128 MB
        "num.recovery.threads.per.data.dir": 2,
        "num.network.threads": 2,
        "num.io.threads": 4,
    }
    return "".join(f"{key}={_escape(str(value))}\n" for key, value in settings.items())


def log4j_properties(logs: Path) -> str:
    """Return the log4j 2 configuration: one file of at most 10 MB, and two older ones."""
    return f"""\
status=error
appender.file.type=RollingFile
appender.file.name=file
appender.file.fileName={_escape(str(logs / "server.log"))}
appender.file.filePattern={_escape(str(logs / "server.log.%i"))}
appender.file.layout.type=PatternLayout
appender.file.layout.pattern=[%d] %p %m (%c)%n
appender.file.policies.type=Policies
appender.file.policies.size.type=SizeBasedTriggeringPolicy
appender.file.policies.size.size=10MB
appender.file.strategy.type=DefaultRolloverStrategy
appender.file.strategy.max=2
rootLogger.level=info
rootLogger.appenderRef.file.ref=file
"""


def jvm_options(logs: Path, *, heap_mb: int) -> list[str]:
    """Return the options of the JVM: small, and quick to start."""
    return [
        f"-Xmx{heap_mb}m",
        "-XX:+UseSerialGC",  # less memory and fewer threads than the default, beside everything else on the machine
        "-XX:+ExitOnOutOfMemoryError",
        "-XX:-UsePerfData",  # no files outside the data directory
        f"-XX:ErrorFile={logs / 'jvm-crash.log'}",
        "-Djava.awt.headless=true",
        f"-Dlog4j2.configurationFile={logs.parent / 'log4j2.properties'}",
    ]


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\")
