{{/*
A PodMonitor where `global.monitoring.enabled`: (list $ "component" (list endpoints)), endpoints as in
`podMetricsEndpoints`. A fourth item holds the labels of the pods where they are not the component's.
*/}}
{{- define "common.podMonitor" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $monitoring := dig "monitoring" dict ($root.Values.global | default dict) -}}
{{- if $monitoring.enabled }}
{{- include "common.requireMonitoring" $root }}
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata:
  {{- include "common.metadata" (list $root $component) | nindent 2 }}
    {{- with $monitoring.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  selector:
    matchLabels:
      {{- if gt (len .) 3 }}
      {{- toYaml (index . 3) | nindent 6 }}
      {{- else }}
      {{- include "common.selectorLabels" (list $root $component) | nindent 6 }}
      {{- end }}
  podMetricsEndpoints:
    {{- range index . 2 }}
    - {{- merge (dict "interval" ($monitoring.interval | default "30s")) . | toYaml | nindent 6 }}
    {{- end }}
{{- end }}
{{- end -}}

{{/* The port `metrics` of every server that is not ours, and of the streaming jobs. */}}
{{- define "common.metricsPort" -}}
9404
{{- end -}}

{{/*
A container that serves a server's metrics and nothing else of it: (list $ image "host:port" (list "/path")), image as in
values. The pod has the volume `tmp`.
*/}}
{{- define "common.metricsDoor" -}}
{{- $root := index . 0 -}}
- name: metrics
  image: {{ include "common.image" (list $root (index . 1)) }}
  imagePullPolicy: {{ include "common.pullPolicy" $root }}
  command: [metrics-door, {{ include "common.metricsPort" $root | quote }}, {{ index . 2 | quote }}{{ range index . 3 }}, {{ . }}{{ end }}]
  ports:
    - {name: metrics, containerPort: {{ include "common.metricsPort" $root }}}
  # Whether metrics are to be had says nothing about whether the server before which it stands is ready.
  livenessProbe:
    tcpSocket: {port: metrics}
    periodSeconds: 30
  securityContext:
    {{- include "common.containerSecurityContext" $root | nindent 4 }}
  resources:
    requests: {cpu: 5m, memory: 16Mi}
    limits: {memory: 64Mi}
  volumeMounts:
    - {name: tmp, mountPath: /tmp}
{{- end -}}

{{/*
Settings of Spark that push what it reads and writes to an address, as a mapping; none for an empty one: (list $ "address")
https://openlineage.io/docs/integrations/spark/configuration/usage
*/}}
{{- define "common.sparkLineage" -}}
{{- $root := index . 0 -}}
{{- with index . 1 }}
spark.jars: local:///opt/spark-lineage/openlineage-spark_2.13.jar
spark.extraListeners: io.openlineage.spark.agent.OpenLineageSparkListener
spark.openlineage.transport.type: http
spark.openlineage.transport.url: {{ . | quote }}
spark.openlineage.namespace: {{ $root.Release.Namespace }}/{{ $root.Release.Name }}
{{- end }}
{{- end -}}

{{- define "common.requireMonitoring" -}}
{{- if not (.Capabilities.APIVersions.Has "monitoring.coreos.com/v1") }}
{{- fail "global.monitoring.enabled is true, but this cluster has no monitoring.coreos.com/v1 resources. Either install the Prometheus operator first (helm install monitoring kube-prometheus-stack --repo https://prometheus-community.github.io/helm-charts), or do without its resources: --set global.monitoring.enabled=false; the parts serve their metrics all the same" }}
{{- end }}
{{- end -}}
