{{/*
Who may reach whom, as YAML: chart → component → port → components that may connect; port 0 is every port. What is not
here is closed where `global.networkPolicies.enabled` is set. A component is a pod's label app.kubernetes.io/name.
HDFS, HBase's Thrift server and the metastore ask nobody for a login, nor does the SQL endpoint by default: this protects them.
*/}}
{{- define "common.reach" -}}
kafka:
  kafka:
    # Brokers replicate here as well while Kafka is not secured.
    9092: [kafka, generator, kafka-topics, spark-ingest, spark-ingest-executor, spark-speed, spark-speed-executor, test]
    9093: [kafka]
    9094: [kafka, kafka-topics]
zookeeper:
  zookeeper:
    2181: [hdfs-namenode, hbase-master, hbase-regionserver, hbase-thrift]
    2888: [zookeeper]
    3888: [zookeeper]
hdfs:
  hdfs-namenode:
    # The other NameNode, its failover controller beside it.
    8019: [hdfs-namenode]
    8020: &hdfs [hdfs-namenode, hdfs-datanode, hbase-master, hbase-regionserver, hbase-thrift, hive-metastore, sql, impala-catalogd, impala-coordinator, impala-executor, spark-ingest, spark-ingest-executor, spark-speed, spark-speed-executor]
    # WebHDFS; and its state, for which pods wait.
    9870: [hdfs-namenode, hdfs-folders, hbase-master, hbase-regionserver, hbase-thrift, hive-metastore, sql, impala-catalogd, spark-ingest, spark-ingest-executor, spark-speed, serving, airflow-task, test]
  hdfs-journalnode:
    8480: [hdfs-namenode, hdfs-journalnode]
    8485: [hdfs-namenode, hdfs-journalnode]
  hdfs-datanode:
    9866: *hdfs
    9867: *hdfs
    9864: [spark-ingest, spark-ingest-executor, serving, airflow-task, test]
hbase:
  hbase-master:
    16000: [hbase-master, hbase-regionserver, hbase-thrift]
  hbase-regionserver:
    16020: [hbase-master, hbase-regionserver, hbase-thrift]
    16030: [hbase-thrift]
  hbase-thrift:
    9090: [hbase-tables, spark-speed, spark-speed-executor, serving, airflow-task, test]
hive-metastore:
  hive-metastore:
    9083: [sql, spark-ingest, airflow-task, test, impala-catalogd, impala-coordinator, impala-executor]
  hive-metastore-postgres:
    5432: [hive-metastore, hive-metastore-postgres-backup]
sql:
  sql:
    21050: [hive-tables, serving, airflow-task, test]
impala:
  impala-coordinator:
    21050: [serving, airflow-task, test]
    0: &impala [impala-statestored, impala-catalogd, impala-coordinator, impala-executor]
  impala-executor: {0: *impala}
  impala-catalogd: {0: *impala}
  impala-statestored: {0: *impala}
spark:
  spark-ingest:
    7078: [spark-ingest-executor]
    7079: [spark-ingest-executor]
  spark-ingest-executor:
    0: [spark-ingest, spark-ingest-executor]
  spark-speed:
    7078: [spark-speed-executor]
    7079: [spark-speed-executor]
  spark-speed-executor:
    0: [spark-speed, spark-speed-executor]
serving:
  serving:
    8050: [test]
airflow:
  airflow-api-server:
    8080: [airflow-scheduler, airflow-dag-processor, airflow-triggerer]
  airflow-scheduler:
    8793: [airflow-api-server]
  airflow-triggerer:
    8794: [airflow-api-server]
  airflow-postgres:
    5432: [airflow-api-server, airflow-scheduler, airflow-dag-processor, airflow-triggerer, airflow-migrate, airflow-postgres-backup]
{{- end -}}

{{/* The pods of components, as peers of a NetworkPolicy: (list $ (list "component")). Airflow's scheduler makes the tasks'. */}}
{{- define "common.peers" -}}
{{- $root := index . 0 -}}
{{- range index . 1 }}
- podSelector: {matchLabels: {app.kubernetes.io/name: {{ . }}{{ if ne . "airflow-task" }}, app.kubernetes.io/instance: {{ $root.Release.Name }}{{ end }}}}
{{- end }}
{{- end -}}

{{/* "true", or empty */}}
{{- define "common.networkPolicies" -}}
{{- if dig "networkPolicies" "enabled" false (.Values.global | default dict) }}true{{ end -}}
{{- end -}}
