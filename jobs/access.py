"""Kafka's users and what each may do, as ``contracts.kafka`` says it; for clusters without Strimzi's user operator."""

from collections.abc import Mapping

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

from contracts.command import CommandError
from contracts.kafka import CLIENTS, MECHANISM, Client
from contracts.topics import TOPICS


def user(client: Client, prefix: str) -> str:
    """A client's user name on a cluster that several releases may share."""
    return f"{prefix}{client.name}"


def permit(admin: KafkaAdminClient, passwords: Mapping[str, str], prefix: str) -> list[str]:
    """Makes every client's user with its password, gives it its rights and takes all others away; returns the users.

    ``passwords`` are by client. Raises ``CommandError`` with the broker's reason, ``KafkaError`` where it is lost.
    """
    logins = [
        UserScramCredentialUpsertion(user(client, prefix), MECHANISM, passwords[client.name]) for client in CLIENTS
    ]
    refused = {name: error for name, error in admin.alter_user_scram_credentials(logins).items() if error}
    if refused:
        raise CommandError(f"Kafka takes no password for {refused}")
    for client in CLIENTS:
        wanted, there = rights(client, prefix), _there(admin, user(client, prefix))
        failed = admin.create_acls(list(wanted - there))["failed"] if wanted - there else []
        failed += (
            [found for found in admin.delete_acls(list(there - wanted)) if found[2].errno] if there - wanted else []
        )
        if failed:
            raise CommandError(f"Kafka does not take the rights of {client.name}: {failed}")
    return [user(client, prefix) for client in CLIENTS]


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
