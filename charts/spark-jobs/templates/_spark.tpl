{{/* What each job waits for: (list $) */}}
{{- define "spark.needs" -}}
- name: wait-for-topics-and-tables
  image: {{ include "common.image" (list . .Values.prepare.image) }}
  imagePullPolicy: {{ include "common.pullPolicy" . }}
  command: [python, -m, jobs.prepare, wait, --for, topics, --for, folders, --for, hbase-tables, --timeout, "900"]
  envFrom:
    {{- include "common.settingsEnvFrom" . | nindent 4 }}
  securityContext:
    {{- include "common.containerSecurityContext" . | nindent 4 }}
  resources:
    requests: {cpu: 10m, memory: 96Mi}
    limits: {memory: 256Mi}
  volumeMounts:
    - {name: tmp, mountPath: /tmp}
{{- end -}}

{{/* Environment of a driver: (list $ job) */}}
{{- define "spark.env" -}}
{{- $root := index . 0 -}}
{{- range $name, $value := (index . 1).environment }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
- {name: HADOOP_CONF_DIR, value: /etc/hadoop/conf}
{{- with $root.Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Pod spec of an executor: (list $ name) */}}
{{- define "spark.executorSpec" -}}
{{- $root := index . 0 -}}
serviceAccountName: {{ include "common.name" (list $root "spark-executor") }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  {{- include "common.podSecurityContext" $root | nindent 2 }}
{{- include "common.scheduling" (list $root (index . 1) $root.Values) }}
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
volumes:
  - name: hadoop
    configMap:
      name: {{ include "common.hadoopConfigMap" $root }}
  - {name: tmp, emptyDir: {}}
{{- end -}}
