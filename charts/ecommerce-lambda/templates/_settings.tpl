{{/* The data of the ConfigMap. */}}
{{- define "ecommerce.settings" -}}
{{- if and (eq .Values.sql.engine "impala") (not .Values.impala.enabled) (not .Values.global.addresses.impala) }}
{{- fail "sql.engine is impala, but there is none: set impala.enabled, or name one of your own in global.addresses.impala" }}
{{- end }}
{{- if and (eq .Values.sql.engine "impala") (include "common.sqlSecured" .) }}
{{- fail "global.sql.tls.enabled secures Spark's Thrift server, and sql.engine is impala, which this chart sets up with neither TLS nor a login: set sql.engine to spark" }}
{{- end }}
{{- if and .Values.impala.enabled (include "common.sqlSecured" .) }}
{{- fail "global.sql.tls.enabled secures Spark's Thrift server, and Impala beside it would open the same tables with neither TLS nor a login: set impala.enabled to false" }}
{{- end }}
{{- if and .Values.global.addresses.sql (include "common.sqlSecured" .) (not .Values.global.sql.tls.secret) }}
{{- fail "global.addresses.sql is a part of your own, and global.sql.tls.enabled draws no certificate for it: set global.sql.tls.secret, whose ca.crt is its CA's" }}
{{- end }}
ECOMMERCE_KAFKA_BOOTSTRAP: {{ include "common.address" (list . "kafka") | quote }}
ECOMMERCE_HDFS_URI: {{ include "common.address" (list . "hdfs") | quote }}
ECOMMERCE_WEBHDFS_URL: {{ include "common.webhdfs" (list . (dig "ha" "enabled" false .Values.hdfs)) | quote }}
ECOMMERCE_HDFS_USER: ecommerce
ECOMMERCE_HBASE_THRIFT_HOST: {{ include "common.address" (list . "hbaseThrift") | quote }}
ECOMMERCE_HBASE_THRIFT_PORT: "9090"
ECOMMERCE_METASTORE_URI: {{ include "common.address" (list . "metastore") | quote }}
ECOMMERCE_SQL_ENGINE: {{ .Values.sql.engine | quote }}
ECOMMERCE_SQL_HOST: {{ include "common.address" (list . (ternary "impala" "sql" (eq .Values.sql.engine "impala"))) | quote }}
ECOMMERCE_SQL_PORT: "21050"
ECOMMERCE_SQL_AUTH: {{ include "common.sqlAuth" . }}
ECOMMERCE_DAY_GRACE: {{ .Values.lake.dayGraceSeconds | quote }}
ECOMMERCE_COMPACTION_OLDER_THAN: {{ .Values.lake.compaction.olderThanSeconds | quote }}
ECOMMERCE_COMPACTION_GRACE: {{ .Values.lake.compaction.graceSeconds | quote }}
ECOMMERCE_RETENTION_RAW_DAYS: {{ .Values.lake.retention.rawDays | quote }}
ECOMMERCE_RETENTION_MART_DAYS: {{ .Values.lake.retention.martDays | quote }}
ECOMMERCE_RETENTION_EXPORT_DAYS: {{ .Values.lake.retention.exportDays | quote }}
ECOMMERCE_RETENTION_SPEED_DAYS: {{ .Values.lake.retention.speedDays | quote }}
{{- end -}}

{{/* Refuses values that name something outside of the platform while no egress rule lets pods reach it. */}}
{{- define "ecommerce.requireWayOut" -}}
{{- $outside := dict -}}
{{- range $key, $address := .Values.global.addresses }}{{ $_ := set $outside (printf "global.addresses.%s" $key) $address }}{{ end -}}
{{- range $part := list "airflow" "hive-metastore" }}
{{- $_ := set $outside (printf "%s.postgres.external.host" $part) (dig "postgres" "external" "host" "" (index $.Values $part)) -}}
{{- end }}
{{- range $kind := list "metrics" "traces" }}
{{- $_ := set $outside (printf "airflow.%s.otlpEndpoint" $kind) (dig $kind "otlpEndpoint" "" $.Values.airflow) -}}
{{- end }}
{{- range $part := list "airflow" "spark" "sql" }}
{{- $_ := set $outside (printf "%s.lineage.openlineageUrl" $part) (dig "lineage" "openlineageUrl" "" (index $.Values $part)) -}}
{{- end }}
{{- if dig "auth" "oidc" "enabled" false .Values.airflow }}{{ $_ := set $outside "airflow.auth.oidc.issuer" .Values.airflow.auth.oidc.issuer }}{{ end -}}
{{- $_ := set $outside "global.sql.login.ldapUrl" .Values.global.sql.login.ldapUrl -}}
{{- $_ := set $outside "serving.traces.otlpEndpoint" (dig "traces" "otlpEndpoint" "" .Values.serving) -}}
{{- range $name, $address := $outside }}
{{- if and $address (not $.Values.global.networkPolicies.egress.allow) -}}
{{- fail (printf "%s is %s, and pods may reach nothing but the platform: say in global.networkPolicies.egress.allow where that is, or set global.networkPolicies.egress.restricted to false" $name $address) -}}
{{- end -}}
{{- end -}}
{{- end -}}
