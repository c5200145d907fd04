"""A recount of what the simulated shop sent, by what the streaming jobs make of it."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from contracts.events import INVENTORY, PURCHASES, STREAMS, WATERMARK, Stream
from jobs.streaming.records import Event
from tests.support.judging import judge


@dataclass
class Account:
    """A recount of records by the contracts alone, knowing nothing of the ledger."""

    ids: dict[Stream, set[str]] = field(default_factory=lambda: {stream: set() for stream in STREAMS})
    sent: Counter[str] = field(default_factory=Counter)
    duplicates: Counter[str] = field(default_factory=Counter)
    malformed: Counter[str] = field(default_factory=Counter)
    late: Counter[str] = field(default_factory=Counter)
    minutes: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    alerts: int = 0
    events: dict[Stream, list[Any]] = field(default_factory=lambda: {stream: [] for stream in STREAMS})
    users: set[str] = field(default_factory=set)

    def differences(self, ledger: dict[str, Any]) -> list[str]:
        """What the ledger says otherwise. It knows nothing of ``late``, which depends on the order of sending."""
        found = []
        for stream in STREAMS:
            said = ledger["streams"][stream.name]
            counted = {
                "produced": len(self.ids[stream]),
                "duplicates": self.duplicates[stream.name],
                "malformed": self.malformed[stream.name],
                "sent": self.sent[stream.name],
            }
            found += [
                f"{stream.name} {key}: {said[key]} but {n} counted" for key, n in counted.items() if said[key] != n
            ]
        by_minute = {minute: str(amount) for minute, amount in sorted(self.minutes.items())}
        if ledger["revenue"]["by_minute"] != by_minute:
            found.append("revenue by minute")
        if Decimal(ledger["revenue"]["total"]) != sum(self.minutes.values()):
            found.append(f"revenue {ledger['revenue']['total']} but {sum(self.minutes.values())} counted")
        if ledger["alerts_expected"] != self.alerts:
            found.append(f"alerts {ledger['alerts_expected']} but {self.alerts} counted")
        return found


def recount(records: Iterable[tuple[Stream, str, bytes]], appended: datetime | None = None) -> Account:
    """Counts (stream, key, value) in the order sent, appended to Kafka at one time (default: now).

    A key that is not the event's is an error.
    """
    sent = list(records)
    read: dict[Stream, Iterator[Event | str]] = {
        stream: iter(judge(stream, [value for of, _, value in sent if of is stream], appended)) for stream in STREAMS
    }
    account, newest = Account(), datetime.min.replace(tzinfo=UTC)
    for stream, key, _ in sent:
        account.sent[stream.name] += 1
        event: Any = next(read[stream])
        if isinstance(event, str):
            account.malformed[stream.name] += 1
            continue
        assert getattr(event, stream.key) == key
        if event.event_id in account.ids[stream]:
            account.duplicates[stream.name] += 1
            continue
        account.ids[stream].add(event.event_id)
        account.events[stream].append(event)
        newest = max(newest, event.event_time)
        if newest - event.event_time > WATERMARK:
            account.late[stream.name] += 1
        if stream is PURCHASES:
            account.minutes[event.event_time.strftime("%Y-%m-%dT%H:%M")] += event.total
        if stream is INVENTORY:
            account.alerts += event.is_critical()
        else:
            account.users.add(event.user_id)
    return account
