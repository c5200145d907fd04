{{/*
A Job, named by what it does and by the hash of its spec: (list $ "component" "spec"). A Job cannot be changed: with another
spec it is another one. It may run at any time again, as it does once its time is over and somebody applies the charts: so
it must change nothing that is there already. A plain Job, because a Helm hook would never start under `helm install --wait`:
what waits for the hook keeps the install waiting.
*/}}
{{- define "common.job" -}}
{{- $root := index . 0 -}}
{{- $jobs := dig "jobs" dict ($root.Values.global | default dict) -}}
{{- $spec := index . 2 -}}
{{- $hash := printf "%s %s" (fromYaml $spec | toJson) ($jobs.code | default "") | sha256sum | trunc 8 -}}
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ include "common.name" (list $root (index . 1)) }}-{{ $hash }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "common.labels" (list $root (index . 1)) | nindent 4 }}
  {{- with $jobs.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- with $jobs.ttlSeconds }}
  ttlSecondsAfterFinished: {{ int . }}
  {{- end }}
  {{- $spec | nindent 2 }}
{{- end -}}

{{/*
A Job that prepares what the contracts name: (list $ "component" values (list "hbase-tables") (list of init containers)).
It runs `python -m jobs.prepare …` in the tasks image. `values`: image, resources and the scheduling values. A last argument
may have more `env`, `mounts` and `volumes`, as text.
*/}}
{{- define "common.prepareJob" -}}
{{ include "common.serviceAccount" (list (index . 0) (index . 1)) }}
---
{{ include "common.job" (list (index . 0) (index . 1) (include "common.prepareSpec" .)) }}
{{- end -}}

{{- define "common.prepareSpec" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $values := index . 2 -}}
{{- $more := dict -}}
{{- if gt (len .) 5 }}{{ $more = index . 5 }}{{ end -}}
backoffLimit: 10
template:
  metadata:
    {{- include "common.podMetadata" (list $root $component $values (dict "settings" (include "common.settingsData" $root))) | nindent 4 }}
  spec:
    {{- include "common.podSpec" (list $root $component $values) | nindent 4 }}
    restartPolicy: Never
    {{- with index . 4 }}
    initContainers:
      {{- range . }}
      {{- . | nindent 6 }}
      {{- end }}
    {{- end }}
    containers:
      - {{- include "common.container" (list $root "prepare" $values) | nindent 8 }}
        command: [python, -m, jobs.prepare{{ range index . 3 }}, {{ . | quote }}{{ end }}]
        envFrom:
          {{- include "common.settingsEnvFrom" $root | nindent 10 }}
        {{- with printf "%s%s" (include "common.extraEnv" (list $values)) ($more.env | default "") }}
        env:
          {{- . | nindent 10 }}
        {{- end }}
        volumeMounts:
          - {name: tmp, mountPath: /tmp}
          {{- $more.mounts | default "" | nindent 10 }}
    volumes:
      - {name: tmp, emptyDir: {}}
      {{- $more.volumes | default "" | nindent 6 }}
{{- end -}}
