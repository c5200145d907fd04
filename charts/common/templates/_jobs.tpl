{{/*
A Job that prepares what the contracts name: (list $ "component" values (list "hbase-tables") (list of init containers)).
It runs `python -m jobs.prepare …` in the tasks image at each revision, and changes nothing that is there already. A plain
Job, because a Helm hook would never start under `helm install --wait`: what waits for the hook keeps the install waiting.
`values`: image, resources and the scheduling values. A last argument may have more `env`, `mounts` and `volumes`, as text.
*/}}
{{- define "common.prepareJob" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $values := index . 2 -}}
{{- $more := dict -}}
{{- if gt (len .) 5 }}{{ $more = index . 5 }}{{ end -}}
{{ include "common.serviceAccount" (list $root $component) }}
---
apiVersion: batch/v1
kind: Job
metadata:
  {{- include "common.metadata" (list $root (printf "%s-%d" $component $root.Release.Revision) $component) | nindent 2 }}
spec:
  backoffLimit: 10
  template:
    metadata:
      {{- include "common.podMetadata" (list $root $component $values (dict "settings" (include "common.settingsData" $root))) | nindent 6 }}
    spec:
      {{- include "common.podSpec" (list $root $component $values) | nindent 6 }}
      restartPolicy: Never
      {{- with index . 4 }}
      initContainers:
        {{- range . }}
        {{- . | nindent 8 }}
        {{- end }}
      {{- end }}
      containers:
        - {{- include "common.container" (list $root "prepare" $values) | nindent 10 }}
          command: [python, -m, jobs.prepare{{ range index . 3 }}, {{ . | quote }}{{ end }}]
          envFrom:
            {{- include "common.settingsEnvFrom" $root | nindent 12 }}
          {{- with printf "%s%s" (include "common.extraEnv" (list $values)) ($more.env | default "") }}
          env:
            {{- . | nindent 12 }}
          {{- end }}
          volumeMounts:
            - {name: tmp, mountPath: /tmp}
            {{- $more.mounts | default "" | nindent 12 }}
      volumes:
        - {name: tmp, emptyDir: {}}
        {{- $more.volumes | default "" | nindent 8 }}
{{- end -}}
