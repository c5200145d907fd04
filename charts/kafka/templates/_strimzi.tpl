{{/* What `restricted` asks of the pods that Strimzi makes; its images name a numeric user of their own. */}}
{{- define "kafka.strimziPodSecurity" -}}
runAsNonRoot: true
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "kafka.strimziContainerSecurity" -}}
securityContext:
  {{- include "common.containerSecurityContext" . | nindent 2 }}
{{- end -}}
