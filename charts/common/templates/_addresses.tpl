{{/*
The address of another part of the platform: (list $ "kafka"). `global.addresses.<key>` when it is set, else the
Service of the same release. Keys: kafka, hdfs, webhdfs, zookeeper, hbaseThrift (host), metastore, sql
and impala (hosts).
*/}}
{{- define "common.address" -}}
{{- $root := index . 0 -}}
{{- $key := index . 1 -}}
{{- $given := dig "addresses" $key "" ($root.Values.global | default dict) -}}
{{- if $given -}}
{{- $given -}}
{{- else if eq $key "kafka" -}}
{{ include "common.name" (list $root "kafka-bootstrap") }}:9092
{{- else if eq $key "hdfs" -}}
hdfs://{{ include "common.name" (list $root "hdfs-namenode") }}
{{- else if eq $key "webhdfs" -}}
http://{{ include "common.name" (list $root "hdfs-namenode") }}:9870
{{- else if eq $key "zookeeper" -}}
{{ include "common.name" (list $root "zookeeper") }}
{{- else if eq $key "hbaseThrift" -}}
{{ include "common.name" (list $root "hbase-thrift") }}
{{- else if eq $key "metastore" -}}
thrift://{{ include "common.name" (list $root "hive-metastore") }}:9083
{{- else if has $key (list "sql" "impala") -}}
{{ include "common.name" (list $root $key) }}
{{- else -}}
{{- fail (printf "common.address: unknown part %q" $key) -}}
{{- end -}}
{{- end -}}

{{/* `host:port` of an address that may be a URL: (list $ "webhdfs") */}}
{{- define "common.hostPort" -}}
{{- include "common.address" . | splitList "://" | last -}}
{{- end -}}

{{/* WebHDFS addresses of all NameNodes, separated by ';': (list $ whether there are two) */}}
{{- define "common.webhdfs" -}}
{{- $root := index . 0 -}}
{{- if and (index . 1) (not (dig "addresses" "webhdfs" "" ($root.Values.global | default dict))) -}}
{{- range $i := until 2 }}{{ if $i }};{{ end }}http://{{ include "common.name" (list $root (printf "hdfs-namenode-%d" $i)) }}:9870{{ end -}}
{{- else -}}
{{ include "common.address" (list $root "webhdfs") }}
{{- end -}}
{{- end -}}

{{/* Name of the ConfigMap with the ECOMMERCE_ settings; empty when the chart is installed without one. */}}
{{- define "common.settingsConfigMap" -}}
{{- tpl (dig "settingsConfigMap" "" (.Values.global | default dict)) . -}}
{{- end -}}

{{/* Name of the ConfigMap with core-site.xml and hdfs-site.xml for clients of HDFS. */}}
{{- define "common.hadoopConfigMap" -}}
{{- $given := tpl (dig "hadoopConfigMap" "" (.Values.global | default dict)) . -}}
{{- $given | default (include "common.name" (list . "hdfs-client")) -}}
{{- end -}}

{{/*
The data of the umbrella's ConfigMap of settings, and of HDFS's for its clients, as YAML: empty where a part is installed
alone, or reads a ConfigMap of your own. Helm shows a part its own values and the global ones, and these data depend on
more; the umbrella leaves them where every part sees them (templates/before/the/parts of its chart).
*/}}
{{- define "common.settingsData" -}}
{{- if eq (include "common.settingsConfigMap" .) (include "common.name" (list . "settings")) }}{{ dig "configuration" "settings" "" .Release }}{{ end -}}
{{- end -}}

{{- define "common.hadoopData" -}}
{{- if eq (include "common.hadoopConfigMap" .) (include "common.name" (list . "hdfs-client")) }}{{ dig "configuration" "hadoop" "" .Release }}{{ end -}}
{{- end -}}

{{/* envFrom entries of containers that run the platform's Python code. */}}
{{- define "common.settingsEnvFrom" -}}
{{- with include "common.settingsConfigMap" . }}
- configMapRef:
    name: {{ . }}
{{- end }}
{{- end -}}
