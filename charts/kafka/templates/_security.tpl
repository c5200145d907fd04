{{/* Brokers with and without TLS do not find each other, so that a rolling update between the two ends at the first. */}}
{{- define "kafka.requireOneKindOfBrokers" -}}
{{- $name := include "common.name" (list . "kafka") -}}
{{- $now := lookup "apps/v1" "StatefulSet" .Release.Namespace $name | default dict -}}
{{- $tls := contains "\"brokers\"" (dig "spec" "template" "spec" "containers" list $now | toJson) -}}
{{- $wanted := eq (include "common.kafkaSecured" .) "true" -}}
{{- if and (gt (dig "spec" "replicas" 0 $now | int) 1) (ne $tls $wanted) -}}
{{- fail (printf "the brokers of %s run %s TLS, and those of this upgrade would not find them: stop Kafka first (kubectl -n %s scale statefulset %s --replicas=0), or keep it as it is with global.kafka.security.enabled=%t" $name (ternary "with" "without" $tls) .Release.Namespace $name $tls) -}}
{{- end -}}
{{- end -}}

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
  command: [python, -m, jobs.prepare, clients, --passwords, /etc/kafka-passwords, --prefix, {{ include "common.name" (list $root "kafka-") }}-{{ range $client, $rate := $root.Values.producerByteRates }}, --producer-byte-rate, {{ $client }}, {{ int64 $rate | quote }}{{ end }}, --kafka-bootstrap, {{ index . 1 | quote }}]
  env:
    {{- include "common.kafkaEnv" (list $root "") | nindent 4 }}
  volumeMounts:
    - {name: tmp, mountPath: /tmp}
    - {name: passwords, mountPath: /etc/kafka-passwords, readOnly: true}
    {{- include "common.kafkaMount" $root | nindent 4 }}
{{- end -}}
