"""What ingest is compared with: Spark's own partitioned Parquet file sink on the same topic, until it is drained.

It parses and partitions but neither validates nor drops copies, and readers that list folders see a retried batch
twice.
"""

import click
import structlog
from pyspark.sql.functions import col, date_format, from_json

from clients.kafka import KAFKA_SETTINGS
from contracts.command import run, with_settings
from contracts.events import CLICKS
from contracts.hive import event_columns, spark_schema
from contracts.settings import Settings
from jobs.streaming.settings import kafka_stream, spark_session

log = structlog.get_logger()


@click.command()
@with_settings(*KAFKA_SETTINGS, "hdfs_uri", "hdfs_user")
@click.option("--folder", required=True, help="Where on HDFS to write; data and checkpoint.")
@click.option("--max-offsets", default=400_000, show_default=True)
def main(settings: Settings, folder: str, max_offsets: int) -> None:
    """Drain the clicks topic with Spark's own file sink."""
    spark = spark_session("bench-file-sink", settings)
    records = kafka_stream(spark, settings, [CLICKS.topic], "earliest", max_offsets)
    clicks = records.select(
        from_json(col("value").cast("string"), spark_schema(event_columns(CLICKS))).alias("click"),
        col("partition").alias("kafka_partition"),
        col("offset").alias("kafka_offset"),
    ).select("click.*", "kafka_partition", "kafka_offset")
    query = (
        clicks.withColumn("date", date_format("event_time", "yyyy-MM-dd"))
        .withColumn("hour", date_format("event_time", "HH"))
        .writeStream.format("parquet")
        .partitionBy("date", "hour")
        .option("path", f"{folder}/data")
        .option("checkpointLocation", f"{folder}/checkpoint")
        .trigger(availableNow=True)
        .start()
    )
    log.info("started")
    query.awaitTermination()
    log.info("stopped")
    spark.stop()


if __name__ == "__main__":
    run(main)
