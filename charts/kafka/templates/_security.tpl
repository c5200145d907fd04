{{/* Brokers know each other, and their administrator, by certificates with these names. */}}
{{- define "kafka.serverSecret" -}}
{{- .Values.tls.serverSecret | default (include "common.name" (list . "kafka-server")) -}}
{{- end -}}

{{- define "kafka.adminSecret" -}}
{{- .Values.tls.adminSecret | default (include "common.name" (list . "kafka-admin")) -}}
{{- end -}}

{{/* A volume with the CA's certificate and one signed by it: (list $ "volume" "secret") */}}
{{- define "kafka.certificate" -}}
- name: {{ index . 1 }}
  projected:
    defaultMode: 0440
    sources:
      - secret: {name: {{ include "common.kafkaCaSecret" (index . 0) }}, items: [{key: ca.crt, path: ca.crt}]}
      - secret: {name: {{ index . 2 }}, items: [{key: tls.crt, path: tls.crt}, {key: tls.key, path: tls.key}]}
{{- end -}}

{{/* What the Job that gives the clients their passwords and rights reads. */}}
{{- define "kafka.adminVolumes" -}}
{{ include "kafka.certificate" (list . "kafka-client" (include "kafka.adminSecret" .)) }}
- name: passwords
  projected:
    defaultMode: 0440
    sources:
      {{- range $name, $_ := .Values.clients }}
      - secret: {name: {{ include "common.kafkaUser" (list $ $name) }}, items: [{key: password, path: {{ $name }}}]}
      {{- end }}
{{- end -}}

{{/* Its init container, before the topics, for which all clients wait: (list $ "bootstrap") */}}
{{- define "kafka.permitClients" -}}
{{- $root := index . 0 -}}
- {{ include "common.container" (list $root "clients" $root.Values.prepare) | nindent 2 | trim }}
  command: [python, -m, jobs.prepare, clients, --passwords, /etc/kafka-passwords, --prefix, {{ include "common.name" (list $root "kafka-") }}-, --kafka-bootstrap, {{ index . 1 | quote }}]
  env:
    {{- include "common.kafkaEnv" (list $root "") | nindent 4 }}
  volumeMounts:
    - {name: tmp, mountPath: /tmp}
    - {name: passwords, mountPath: /etc/kafka-passwords, readOnly: true}
    {{- include "common.kafkaMount" $root | nindent 4 }}
{{- end -}}
