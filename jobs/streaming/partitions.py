"""Kafka records in Arrow batches, told apart by the partition they came from."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc


def by_partition(batch: pa.RecordBatch) -> Iterator[tuple[str, pa.RecordBatch]]:
    """A batch split by ``topic/partition``; Spark's Kafka source puts one partition in a task, so mostly whole."""
    keys = pc.binary_join_element_wise(batch["topic"], pc.cast(batch["partition"], pa.string()), "/")
    found = pc.unique(keys).to_pylist()
    if len(found) == 1:
        yield found[0], batch
        return
    for key in found:
        yield key, batch.filter(pc.equal(keys, key))
