{{/* What the Pod Security Standard `restricted` asks, and a group that may write to the volumes; as `values.user`, or our images' own. */}}
{{- define "common.podSecurityContext" -}}
{{- $user := .user | default 10001 -}}
runAsNonRoot: true
runAsUser: {{ $user }}
runAsGroup: {{ $user }}
fsGroup: {{ $user }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "common.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/*
The head of every pod spec: (list $ "component" values). Service account, security, pull secrets, scheduling.
The account is the component's own, without a token unless `values.serviceAccountToken` asks for it.
*/}}
{{- define "common.podSpec" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $values := index . 2 -}}
serviceAccountName: {{ include "common.name" (list $root $component) }}
automountServiceAccountToken: {{ $values.serviceAccountToken | default false }}
enableServiceLinks: false
securityContext:
  {{- include "common.podSecurityContext" $values | nindent 2 }}
{{- with include "common.pullSecrets" $root }}
{{ . }}
{{- end }}
{{- with include "common.scheduling" . }}
{{ . }}
{{- end }}
{{- end -}}

{{/* nodeSelector, affinity, tolerations and topology spread: (list $ "component" values) */}}
{{- define "common.scheduling" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $values := index . 2 -}}
{{- range $key := list "nodeSelector" "affinity" "tolerations" }}
{{- with index $values $key }}
{{ $key }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- if $values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml $values.topologySpreadConstraints | nindent 2 }}
{{- else }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "common.selectorLabels" (list $root $component) | nindent 8 }}
{{- end }}
{{- end -}}

{{/* The head of every container: (list $ "name" values). Image, pull policy, security, resources. */}}
{{- define "common.container" -}}
{{- $root := index . 0 -}}
{{- $values := index . 2 -}}
name: {{ index . 1 }}
image: {{ include "common.image" (list $root $values.image) }}
imagePullPolicy: {{ include "common.pullPolicy" $root }}
securityContext:
  {{- include "common.containerSecurityContext" $root | nindent 2 }}
{{- with $values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/*
An init container that waits until `probe` passes: (list $ image "name" (list "tcp" "host:port")), image as in values.
*/}}
{{- define "common.waitFor" -}}
{{- $root := index . 0 -}}
- name: wait-for-{{ index . 2 }}
  image: {{ include "common.image" (list $root (index . 1)) }}
  imagePullPolicy: {{ include "common.pullPolicy" $root }}
  command: [probe, --wait, "900", {{ range $i, $word := index . 3 }}{{ if $i }}, {{ end }}{{ $word | quote }}{{ end }}]
  securityContext:
    {{- include "common.containerSecurityContext" $root | nindent 4 }}
  resources:
    requests: {cpu: 5m, memory: 16Mi}
    limits: {memory: 64Mi}
{{- end -}}

{{/* Waits until HDFS takes writes: (list $ image) */}}
{{- define "common.waitForHdfs" -}}
{{- $root := index . 0 -}}
{{- $probe := list "jmx" (include "common.hostPort" (list $root "webhdfs")) "Hadoop:service=NameNode,name=FSNamesystemState" "FSState=Operational" "NumLiveDataNodes>=1" -}}
{{- include "common.waitFor" (list $root (index . 1) "hdfs" $probe) -}}
{{- end -}}

{{/*
An init container that waits until `jobs.prepare` finds all of it there: (list $ "name" (list "--for" "folders" "--timeout" "900")). A
last argument may have `envFrom`, `env` and `mounts`, as text. The pod has the volume `tmp`.
*/}}
{{- define "common.waitForPrepared" -}}
{{- $root := index . 0 -}}
{{- $more := dict -}}
{{- if gt (len .) 3 }}{{ $more = index . 3 }}{{ end -}}
- name: wait-for-{{ index . 1 }}
  image: {{ include "common.image" (list $root $root.Values.prepare.image) }}
  imagePullPolicy: {{ include "common.pullPolicy" $root }}
  command: {{ concat (list "python" "-m" "jobs.prepare" "wait") (index . 2) | toJson }}
  {{- with $more.envFrom }}
  envFrom:
    {{- . | nindent 4 }}
  {{- end }}
  {{- with $more.env }}
  env:
    {{- . | nindent 4 }}
  {{- end }}
  securityContext:
    {{- include "common.containerSecurityContext" $root | nindent 4 }}
  resources:
    requests: {cpu: 10m, memory: 96Mi}
    limits: {memory: 256Mi}
  volumeMounts:
    - {name: tmp, mountPath: /tmp}
    {{- $more.mounts | default "" | nindent 4 }}
{{- end -}}

{{/* env entries of `values.extraEnv`: (list values) */}}
{{- define "common.extraEnv" -}}
{{- with (index . 0).extraEnv }}
{{- toYaml . }}
{{- end }}
{{- end -}}
