{{/* `replicas` of a spec, unless an autoscaler sets it: (list number autoscalers…), each with `enabled`. */}}
{{- define "common.replicas" -}}
{{- $scaled := false -}}
{{- range rest . }}{{ if .enabled }}{{ $scaled = true }}{{ end }}{{ end -}}
{{- if not $scaled -}}
replicas: {{ first . }}
{{- end -}}
{{- end -}}

{{/* The HorizontalPodAutoscaler of a component, where it is enabled: (list $ "component" "Deployment" .Values.autoscaling) */}}
{{- define "common.autoscaler" -}}
{{- $root := index . 0 -}}
{{- $autoscaling := index . 3 -}}
{{- if $autoscaling.enabled }}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  {{- include "common.metadata" (list $root (index . 1)) | nindent 2 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: {{ index . 2 }}
    name: {{ include "common.name" (list $root (index . 1)) }}
  minReplicas: {{ $autoscaling.minReplicas }}
  maxReplicas: {{ $autoscaling.maxReplicas }}
  metrics:
    - type: Resource
      resource:
        name: cpu
        target: {type: Utilization, averageUtilization: {{ $autoscaling.cpuPercent }}}
{{- end }}
{{- end -}}
