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

{{- define "common.requireMonitoring" -}}
{{- if not (.Capabilities.APIVersions.Has "monitoring.coreos.com/v1") }}
{{- fail "global.monitoring.enabled is true, but this cluster has no monitoring.coreos.com/v1 resources. Either install the Prometheus operator first (helm install monitoring kube-prometheus-stack --repo https://prometheus-community.github.io/helm-charts), or do without its resources: --set global.monitoring.enabled=false; the parts serve their metrics all the same" }}
{{- end }}
{{- end -}}
