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
  # Hive 4's client, in a class loader of its own: Spark's own cannot speak to a metastore of Hive 4.
  spark.sql.hive.metastore.version            4.0.1
  spark.sql.hive.metastore.jars               path
  spark.sql.hive.metastore.jars.path          file:///opt/hive-client/lib/*.jar
  # Hive 4 takes the name `date` in a filter of partitions for a keyword of its own and refuses: their names are asked then, and
  # those that are wanted by name.
  spark.sql.hive.metastorePartitionPruningFallbackOnException true
  spark.sql.hive.metastorePartitionPruningFastFallback true
  # Refuses what would run programs here, or reach what is not the lake's.
  spark.sql.extensions                        ecommerce.StatementGuard
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
log4j2.properties: |
  {{- .Files.Get "files/log4j2.properties" | nindent 2 }}
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
    <property><name>hive.server2.authentication</name><value>{{ include "common.sqlAuth" . }}</value></property>
    {{- if include "common.sqlLoginSecret" . }}
    {{- with .Values.global.sql.login }}
    <property><name>hive.server2.authentication.ldap.url</name><value>{{ html .ldapUrl }}</value></property>
    <property><name>hive.server2.authentication.ldap.userDNPattern</name><value>{{ html .userDNPattern }}</value></property>
    {{- end }}
    {{- end }}
    {{- if include "common.sqlSecured" . }}
    <property><name>hive.server2.use.SSL</name><value>true</value></property>
    <include xmlns="http://www.w3.org/2001/XInclude" href="file:///etc/sql-keystore/keystore.xml"/>
    {{- end }}
    <property><name>hive.server2.enable.doAs</name><value>false</value></property>
    <property><name>hive.server2.logging.operation.log.location</name><value>/tmp/operation-logs</value></property>
  </configuration>
{{- end -}}

{{/* Makes of the certificates, PEM, what the server's JVM reads: an init container. */}}
{{- define "sql.keystore" -}}
{{- $ldap := include "sql.ldapCaSecret" . -}}
- {{ include "common.container" (list . "keystore" (dict "image" .Values.image "resources" (dict "requests" (dict "cpu" "10m" "memory" "64Mi") "limits" (dict "memory" "256Mi")))) | nindent 2 | trim }}
  command:
    - bash
    - -c
    - |
      {{- .Files.Get "files/keystore" | nindent 6 }}
    - keystore
    - /etc/sql-tls
    - /etc/sql-keystore
    {{- if $ldap }}
    - /etc/sql-tls/ldap.crt
    {{- end }}
  volumeMounts:
    - {name: tmp, mountPath: /tmp}
    - {name: tls, mountPath: /etc/sql-tls, readOnly: true}
    - {name: keystore, mountPath: /etc/sql-keystore}
{{- end -}}

{{- define "sql.keystoreVolumes" -}}
- name: tls
  projected:
    defaultMode: 0440
    sources:
      - secret: {name: {{ include "common.sqlTlsSecret" . }}, items: [{key: tls.crt, path: tls.crt}, {key: tls.key, path: tls.key}, {key: ca.crt, path: ca.crt}]}
      {{- with include "sql.ldapCaSecret" . }}
      - secret: {name: {{ . }}, items: [{key: ca.crt, path: ldap.crt}]}
      {{- end }}
- {name: keystore, emptyDir: {medium: Memory, sizeLimit: 1Mi}}
{{- end -}}

{{/* The Secret with the CA of the LDAP server; empty where there is none, or it is one that everybody trusts. */}}
{{- define "sql.ldapCaSecret" -}}
{{- if include "common.sqlLoginSecret" . }}{{ .Values.global.sql.login.caSecret }}{{ end -}}
{{- end -}}

{{/* JVM options, with those that the LDAP server's CA needs. */}}
{{- define "sql.javaOpts" -}}
{{ .Values.javaOpts }}{{ if include "sql.ldapCaSecret" . }} -Djavax.net.ssl.trustStore=/etc/sql-keystore/ldap.jks -Djavax.net.ssl.trustStoreType=JKS{{ end }}
{{- end -}}
