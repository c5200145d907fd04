{{/* The data of the ConfigMap. */}}
{{- define "metastore.data" -}}
{{- $database := include "common.database" (list . "hive-metastore-postgres" .Values.postgres "metastore") | fromYaml -}}
{{- $tls := list -}}
{{- with .Values.postgres.external }}
{{- if .host }}{{ $tls = append $tls (printf "sslmode=%s" .sslmode) }}{{ end }}
{{- if .caSecret }}{{ $tls = append $tls (printf "sslrootcert=%s" (include "common.postgresCa" $)) }}{{ end }}
{{- end -}}
metastore-site.xml: |
  <?xml version="1.0" encoding="UTF-8"?>
  <configuration>
    <property><name>javax.jdo.option.ConnectionDriverName</name><value>org.postgresql.Driver</value></property>
    <property><name>javax.jdo.option.ConnectionURL</name><value>jdbc:postgresql://{{ $database.host }}:{{ $database.port }}/{{ $database.database }}{{ with $tls }}?{{ join "&amp;" . }}{{ end }}</value></property>
    <property><name>javax.jdo.option.ConnectionUserName</name><value>{{ $database.user }}</value></property>
    <property><name>javax.jdo.option.ConnectionPassword</name><value>${env.POSTGRES_PASSWORD}</value></property>
    <property><name>datanucleus.schema.autoCreateAll</name><value>false</value></property>
    <property><name>datanucleus.connectionPool.maxPoolSize</name><value>4</value></property>
    <property><name>metastore.schema.verification</name><value>true</value></property>
    <property><name>metastore.warehouse.dir</name><value>{{ include "common.address" (list . "hdfs") }}/user/hive/warehouse</value></property>
    <property><name>metastore.thrift.uris</name><value>{{ include "common.address" (list . "metastore") }}</value></property>
    <property><name>metastore.expression.proxy</name><value>org.apache.hadoop.hive.metastore.DefaultPartitionExpressionProxy</value></property>
    <property><name>metastore.task.threads.always</name><value>org.apache.hadoop.hive.metastore.events.EventCleanerTask</value></property>
    <!-- Impala asks for the number of the last event with each statement that changes a table. -->
    <property><name>metastore.metastore.event.db.notification.api.auth</name><value>false</value></property>
    <property><name>metastore.metrics.enabled</name><value>false</value></property>
    <property><name>metastore.stats.autogather</name><value>false</value></property>
  </configuration>
log4j2.properties: |
  rootLogger.level=INFO
  rootLogger.appenderRef.out.ref=out
  appender.out.type=Console
  appender.out.name=out
  appender.out.layout.type=PatternLayout
  appender.out.layout.pattern=%d{ISO8601} %-5p %c{1}: %m%n
  # Spark asks so wherever a day is named, is refused, and goes on without (docs/kubernetes.md, SQL).
  appender.out.filter.date.type=RegexFilter
  appender.out.filter.date.regex=(?s).*Error parsing partition filter: lexer error.*
  appender.out.filter.date.onMatch=DENY
  appender.out.filter.date.onMismatch=NEUTRAL
  logger.datanucleus.name=DataNucleus
  logger.datanucleus.level=WARN
  logger.audit.name=org.apache.hadoop.hive.metastore.HiveMetaStore.audit
  logger.audit.level=WARN
  # Tell lines of each call and each connection.
  logger.store.name=org.apache.hadoop.hive.metastore.ObjectStore
  logger.store.level=ERROR
  logger.handler.name=org.apache.hadoop.hive.metastore.HMSHandler
  logger.handler.level=WARN
  logger.transformer.name=org.apache.hadoop.hive.metastore.MetastoreDefaultTransformer
  logger.transformer.level=WARN
  logger.manager.name=org.apache.hadoop.hive.metastore.PersistenceManagerProvider
  logger.manager.level=WARN
{{- end -}}
