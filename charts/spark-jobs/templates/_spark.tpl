{{/* What a job waits for, as arguments of `jobs.prepare wait`: name */}}
{{- define "spark.waitFor" -}}
--timeout 900 --for topics --for folders{{ if eq . "speed" }} --for hbase-tables{{ end }}
{{- end -}}

{{/* The init container that waits for a job: (list $ name) */}}
{{- define "spark.needs" -}}
{{- $root := index . 0 -}}
{{- $words := include "spark.waitFor" (index . 1) | splitList " " -}}
{{- $more := dict "envFrom" (include "common.settingsEnvFrom" $root) "env" (include "common.kafkaEnv" .) "mounts" (include "common.kafkaMount" $root) -}}
{{- include "common.waitForPrepared" (list $root (last $words) $words $more) -}}
{{- end -}}

{{/* Environment of a driver: (list $ "name" job) */}}
{{- define "spark.env" -}}
{{- $root := index . 0 -}}
{{- range $name, $value := (index . 2).environment }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
- {name: ECOMMERCE_{{ index . 1 | upper }}_METRICS_HOST, value: 0.0.0.0}
- {name: ECOMMERCE_{{ index . 1 | upper }}_METRICS_PORT, value: {{ include "common.metricsPort" $root | quote }}}
- {name: HADOOP_CONF_DIR, value: /etc/hadoop/conf}
{{- include "common.kafkaEnv" . }}
{{- with $root.Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Settings of Spark that every job has: mapping */}}
{{- define "spark.defaults" -}}
spark.ui.showConsoleProgress: "false"
# Spark's own log, of driver and executors: hundreds of lines a batch otherwise. The jobs' own lines come in any case.
spark.log.level: WARN
spark.executor.syncLogLevel.enabled: "true"
# Its metrics on its page, under names that stay the same over restarts.
spark.ui.prometheus.enabled: "true"
spark.sql.streaming.metricsEnabled: "true"
spark.metrics.namespace: spark
spark.metrics.conf.driver.sink.prometheusServlet.class: org.apache.spark.metrics.sink.PrometheusServlet
spark.metrics.conf.driver.sink.prometheusServlet.path: /metrics/prometheus
# Spark 4.2 would make a NetworkPolicy of its own, which its operator may not; this release's policies are stricter.
spark.kubernetes.driver.pod.excludedFeatureSteps: org.apache.spark.deploy.k8s.features.NetworkPolicyFeatureStep
{{- end -}}

{{/* Pod spec of an executor: (list $ name) */}}
{{- define "spark.executorSpec" -}}
{{- $root := index . 0 -}}
serviceAccountName: {{ include "common.name" (list $root "spark-executor") }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  {{- include "common.podSecurityContext" dict | nindent 2 }}
{{- include "common.scheduling" (list $root (printf "spark-%s-executor" (index . 1)) $root.Values) }}
containers:
  - name: spark-kubernetes-executor
    env:
      - {name: HADOOP_CONF_DIR, value: /etc/hadoop/conf}
    envFrom:
      {{- include "common.settingsEnvFrom" $root | nindent 6 }}
    securityContext:
      {{- include "common.containerSecurityContext" $root | nindent 6 }}
    volumeMounts:
      - {name: hadoop, mountPath: /etc/hadoop/conf}
      - {name: tmp, mountPath: /tmp}
      {{- include "common.kafkaMount" $root | nindent 6 }}
volumes:
  - name: hadoop
    configMap:
      name: {{ include "common.hadoopConfigMap" $root }}
  - {name: tmp, emptyDir: {}}
  {{- include "common.kafkaVolume" . | nindent 2 }}
{{- end -}}

{{/* The data of a native job's ConfigMap, the pod of its executors, where Spark's own settings do not reach: (list $ name) */}}
{{- define "spark.executorData" -}}
{{- $root := index . 0 -}}
executor.yaml: |
  apiVersion: v1
  kind: Pod
  metadata:
    {{- include "common.podMetadata" (list $root (printf "spark-%s-executor" (index . 1)) $root.Values) | nindent 4 }}
  spec:
    {{- include "spark.executorSpec" . | nindent 4 }}
{{- end -}}

{{/*
Settings of Spark that both modes give a job, those of its own `conf` over all others: (list $ job). Executors' shuffle files are
on the executors themselves, so Spark has to know which of them are still needed.
*/}}
{{- define "spark.conf" -}}
{{- $job := index . 1 -}}
{{- $lineage := include "common.sparkLineage" (list (index . 0) (index . 0).Values.lineage.openlineageUrl) | fromYaml -}}
{{- $conf := merge (include "spark.defaults" . | fromYaml) $lineage -}}
{{- $_ := set $conf "spark.executor.memoryOverhead" $job.executorMemoryOverhead -}}
{{- with $job.dynamicAllocation }}{{ if .enabled }}
{{- $_ := set $conf "spark.dynamicAllocation.enabled" "true" }}
{{- $_ := set $conf "spark.dynamicAllocation.shuffleTracking.enabled" "true" }}
{{- $_ := set $conf "spark.dynamicAllocation.minExecutors" (toString .minExecutors) }}
{{- $_ := set $conf "spark.dynamicAllocation.maxExecutors" (toString .maxExecutors) }}
{{- $_ := set $conf "spark.dynamicAllocation.executorIdleTimeout" (printf "%ds" (int .idleSeconds)) }}
{{- end }}{{ end -}}
{{- toYaml (merge dict $job.conf $conf) -}}
{{- end -}}
