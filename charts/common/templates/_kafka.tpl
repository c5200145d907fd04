{{/*
What a client of Kafka needs unless `global.kafka.security.enabled` is false; nothing renders anything then. A client
has the user <release>-kafka-<client>, whose password is in the Secret of the same name, and trusts the cluster's CA:
the names that Strimzi gives them.
*/}}

{{/* "true", or empty */}}
{{- define "common.kafkaSecured" -}}
{{- if dig "kafka" "security" "enabled" true (.Values.global | default dict) }}true{{ end -}}
{{- end -}}

{{/* User and Secret of a client: (list $ "generator") */}}
{{- define "common.kafkaUser" -}}
{{- include "common.name" (list (index . 0) (printf "kafka-%s" (index . 1))) -}}
{{- end -}}

{{/* The Secret with the certificate of the CA, as `ca.crt`. */}}
{{- define "common.kafkaCaSecret" -}}
{{- dig "kafka" "security" "caSecret" "" (.Values.global | default dict) | default (printf "%s-cluster-ca-cert" .Release.Name) -}}
{{- end -}}

{{/* env entries: (list $ "generator"); a client without a name logs in by its certificate. */}}
{{- define "common.kafkaEnv" -}}
{{- if include "common.kafkaSecured" (index . 0) }}
{{- with index . 1 }}
- {name: ECOMMERCE_KAFKA_USER, value: {{ include "common.kafkaUser" (list (index $ 0) .) }}}
{{- end }}
- {name: ECOMMERCE_KAFKA_CREDENTIALS, value: /etc/kafka-client}
{{- end }}
{{- end -}}

{{/* volumeMounts entry: $ */}}
{{- define "common.kafkaMount" -}}
{{- if include "common.kafkaSecured" . }}
- {name: kafka-client, mountPath: /etc/kafka-client, readOnly: true}
{{- end }}
{{- end -}}

{{/* volumes entry: (list $ "generator") */}}
{{- define "common.kafkaVolume" -}}
{{- if include "common.kafkaSecured" (index . 0) }}
- name: kafka-client
  projected:
    defaultMode: 0440
    sources:
      - secret: {name: {{ include "common.kafkaCaSecret" (index . 0) }}, items: [{key: ca.crt, path: ca.crt}]}
      - secret: {name: {{ include "common.kafkaUser" . }}, items: [{key: password, path: password}]}
{{- end }}
{{- end -}}
