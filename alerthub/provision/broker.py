"""The configuration of a single Kafka broker of the hub's own: SCRAM users, and nothing open without a rule.

The embedded hub runs one on the loopback, compose and the tests one in a container. Clusters of others are
configured by whoever runs them.
"""

from __future__ import annotations

import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass

ADMINISTRATOR = "admin"
CONTROLLER = "controller"
"""The user of the listener between broker and controller, which is on the loopback always."""

_MODULE = "org.apache.kafka.common.security"
_SCRAM = f"{_MODULE}.scram.ScramLoginModule"
_PLAIN = f"{_MODULE}.plain.PlainLoginModule"

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=CLIENT://{listen_host}:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=CLIENT://{advertised}
controller.listener.names=CONTROLLER
inter.broker.listener.name=CLIENT
listener.security.protocol.map=CONTROLLER:SASL_PLAINTEXT,CLIENT:{protocol}
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-256
sasl.enabled.mechanisms=SCRAM-SHA-256
sasl.mechanism.controller.protocol=PLAIN
listener.name.client.scram-sha-256.sasl.jaas.config={scram} required \
username="admin" password="{admin_password}";
listener.name.controller.sasl.enabled.mechanisms=PLAIN
listener.name.controller.plain.sasl.jaas.config={plain} required \
username="controller" password="{controller_password}" user_controller="{controller_password}";
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:admin;User:controller
allow.everyone.if.no.acl.found=false
log.dirs={logs}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
# What is past its retention goes within half a minute instead of five: retention is a promise here.
log.retention.check.interval.ms=30000
log.cleaner.dedupe.buffer.size=16777216
# A broker that was killed is taken back when its old session has ended: 4 s instead of 9.
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=1000
num.network.threads=2
num.io.threads=4
background.threads=2
num.recovery.threads.per.data.dir=2
"""

_TLS = """\
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
ssl.truststore.type=PEM
ssl.truststore.location={authority}
ssl.client.auth=none
"""


@dataclass(frozen=True, slots=True)
class BrokerTls:
    """Files as the broker's process sees them."""

    keystore: str
    """Private key (PKCS 8) and certificate, PEM, in one file."""
    authority: str


def broker_properties(
    passwords: Mapping[str, str],
    *,
    port: int,
    controller_port: int,
    logs: str,
    listen_host: str = "127.0.0.1",
    advertised: str = "",
    tls: BrokerTls | None = None,
) -> str:
    """The text of `server.properties`; `passwords` of ADMINISTRATOR and CONTROLLER.

    `advertised` is host:port as clients reach it, by default where it listens.
    """
    text = _PROPERTIES.format(
        port=port,
        controller_port=controller_port,
        listen_host=listen_host,
        advertised=advertised or f"{listen_host}:{port}",
        protocol="SASL_PLAINTEXT" if tls is None else "SASL_SSL",
        scram=_SCRAM,
        plain=_PLAIN,
        admin_password=passwords[ADMINISTRATOR],
        controller_password=passwords[CONTROLLER],
        logs=logs,
    )
    if tls is not None:
        text += _TLS.format(keystore=tls.keystore, authority=tls.authority)
    return text


_TOOLS = """\
# Kafka's own programs as the administrator, for example:
# kafka-console-consumer --bootstrap-server {bootstrap} --command-config FILE --topic calls --from-beginning
security.protocol=SASL_PLAINTEXT
sasl.mechanism=SCRAM-SHA-256
sasl.jaas.config={scram} required username="admin" password="{password}";
"""


def tools_properties(bootstrap: str, password: str) -> str:
    """What Kafka's own programs need to act as the administrator on the loopback."""
    return _TOOLS.format(bootstrap=bootstrap, scram=_SCRAM, password=password)


def format_arguments(properties_file: str, users: Mapping[str, str], cluster: str) -> str:
    """An argument file for `java`, after its class path: makes the broker's log, with these users and their
    passwords from the first moment. A file, since everybody on a machine can read a command line."""
    arguments = ["kafka.tools.StorageTool", "format", "-t", cluster, "-c", properties_file]
    for name, password in users.items():
        arguments += ["--add-scram", f"SCRAM-SHA-256=[name={name},password={password}]"]
    return "".join('"{}"\n'.format(argument.replace("\\", "\\\\")) for argument in arguments)


def cluster_id(unique: uuid.UUID) -> str:
    """Kafka's form of a cluster's id: 22 letters of base64. One that began with a hyphen would be an option
    to Kafka's tools: it begins with an underscore instead."""
    text = urlsafe_b64encode(unique.bytes).decode("ascii").rstrip("=")
    return "_" + text[1:] if text.startswith("-") else text
