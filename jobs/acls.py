"""Kafka's users, what each may do and how fast, as ``contracts.acls`` and the chart's values say it; for clusters
without Strimzi's user operator.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from kafka import KafkaAdminClient
from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
    UserScramCredentialUpsertion,
)

from clients.kafka import MECHANISM, alter_quotas
from contracts.acls import CLIENTS, Client
from contracts.errors import NotReady, Refused
from contracts.topics import TOPICS

QUOTA: Final = "producer_byte_rate"


def user(client: Client, prefix: str) -> str:
    """A client's user name on a cluster that several releases may share."""
    return f"{prefix}{client.name}"


def permit(
    admin: KafkaAdminClient, passwords: Mapping[str, str], byte_rates: Mapping[str, float], prefix: str
) -> list[str]:
    """Makes every client's user with its password, gives it its rights and takes all others away; returns the users.

    ``passwords`` are by client, as are ``byte_rates``: bytes/s that a client may write to each broker; one without is
    not limited. Raises :class:`NotReady` or :class:`Refused` with the broker's reason, ``KafkaError``
    where it is lost.
    """
    logins = [
        UserScramCredentialUpsertion(user(client, prefix), MECHANISM, passwords[client.name]) for client in CLIENTS
    ]
    _require_taken("the passwords", [error for error in admin.alter_user_scram_credentials(logins).values() if error])
    for client in CLIENTS:
        wanted, there = rights(client, prefix), _there(admin, user(client, prefix))
        failed = [error for _, error in admin.create_acls(list(wanted - there))["failed"]] if wanted - there else []
        if there - wanted:
            failed += [error for *_, error in admin.delete_acls(list(there - wanted)) if error.errno]
        _require_taken(f"the rights of {client.name}", failed)
    limits = {user(client, prefix): {QUOTA: byte_rates.get(client.name)} for client in CLIENTS}
    _require_taken("the quotas", alter_quotas(admin, limits))
    return [user(client, prefix) for client in CLIENTS]


def _require_taken(what: str, errors: Sequence[Any]) -> None:
    if errors:
        kind = NotReady if all(error.retriable for error in errors) else Refused
        raise kind(f"Kafka does not take {what}: {', '.join(sorted({str(error) for error in errors}))}")


def rights(client: Client, prefix: str) -> set[ACL]:
    """All that a client may do: describe every topic of the contracts, read and write its own."""
    allowed = [(ACLOperation.DESCRIBE, topic.name) for topic in TOPICS]
    allowed += [(ACLOperation.READ, topic) for topic in client.reads]
    allowed += [(ACLOperation.WRITE, topic) for topic in client.writes]
    return {
        ACL(
            f"User:{user(client, prefix)}",
            "*",
            operation,
            ACLPermissionType.ALLOW,
            ResourcePattern(ResourceType.TOPIC, topic),
        )
        for operation, topic in allowed
    }


def _there(admin: KafkaAdminClient, name: str) -> set[ACL]:
    every = ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY)
    found, error = admin.describe_acls(ACLFilter(f"User:{name}", None, ACLOperation.ANY, ACLPermissionType.ANY, every))
    if error.errno:
        raise error
    return set(found)
