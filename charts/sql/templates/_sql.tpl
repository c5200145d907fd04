{{/* The data of the ConfigMap of Spark's Thrift server. */}}
{{- define "sql.data" -}}
spark-defaults.conf: |
  spark.master                                local[{{ .Values.cores }}]
  spark.app.name                              sql-endpoint
  spark.ui.port                               4040
  spark.port.maxRetries                       0
  spark.local.dir                             /tmp
  spark.sql.warehouse.dir                     {{ include "common.address" (list . "hdfs") }}/user/hive/warehouse
  spark.sql.session.timeZone                  UTC
  spark.sql.sources.partitionOverwriteMode    dynamic
  # Files come from ingest, not from here: they are listed anew for each statement.
  spark.sql.hive.filesourcePartitionFileCacheSize 0
  spark.sql.shuffle.partitions                {{ .Values.cores }}
  spark.sql.hive.thriftServer.singleSession   false
  spark.hadoop.hive.exec.dynamic.partition.mode nonstrict
  spark.sql.thriftserver.ui.retainedStatements 100
  spark.ui.retainedJobs                       100
  spark.ui.retainedStages                     100
  # Its metrics on its page, under names of their own.
  spark.metrics.namespace                     sql
  spark.metrics.conf.driver.sink.prometheusServlet.class org.apache.spark.metrics.sink.PrometheusServlet
  spark.metrics.conf.driver.sink.prometheusServlet.path /metrics/prometheus
  {{- range $name, $value := include "common.sparkLineage" (list . .Values.lineage.openlineageUrl) | fromYaml }}
  {{ $name }} {{ $value }}
  {{- end }}
hive-site.xml: |
  <?xml version="1.0" encoding="UTF-8"?>
  <configuration>
    <property><name>hive.metastore.uris</name><value>{{ include "common.address" (list . "metastore") }}</value></property>
    <!-- Spark starts beside the metastore and waits for it. -->
    <property><name>hive.metastore.connect.retries</name><value>120</value></property>
    <property><name>hive.metastore.client.connect.retry.delay</name><value>1s</value></property>
    <property><name>hive.metastore.schema.verification</name><value>false</value></property>
    <property><name>hive.exec.dynamic.partition.mode</name><value>nonstrict</value></property>
    <property><name>hive.exec.local.scratchdir</name><value>/tmp/hive</value></property>
    <property><name>hive.server2.thrift.bind.host</name><value>0.0.0.0</value></property>
    <property><name>hive.server2.thrift.port</name><value>21050</value></property>
    <property><name>hive.server2.authentication</name><value>NOSASL</value></property>
    <property><name>hive.server2.enable.doAs</name><value>false</value></property>
    <property><name>hive.server2.logging.operation.log.location</name><value>/tmp/operation-logs</value></property>
  </configuration>
{{- end -}}
