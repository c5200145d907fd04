{{/*
Keeps a quorum at the number of members with which it was installed: (list $ "component" replicas). They are listed in their
settings: two new and empty ones would outvote the one that has the data. A ConfigMap that cannot be changed remembers the
number, whatever applies the charts, and stays with the volumes; the API server refuses another number, and members that are
told of one do not start (common.quorumCheck).
*/}}
{{- define "common.quorum" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $replicas := int (index . 2) -}}
{{- $name := include "common.name" (list $root (printf "%s-quorum" $component)) -}}
{{- if lt $replicas 1 -}}
{{- fail (printf "%s needs at least 1 replica" $component) -}}
{{- end -}}
{{- $set := lookup "apps/v1" "StatefulSet" $root.Release.Namespace (include "common.name" (list $root $component)) | default dict -}}
{{- $remembered := lookup "v1" "ConfigMap" $root.Release.Namespace $name | default dict -}}
{{- $now := dig "data" "members" (dig "spec" "replicas" 0 $set) $remembered | int -}}
{{- if and $now (ne $now $replicas) -}}
{{- fail (printf "%s runs with %d replicas, and an upgrade to %d may lose its data: keep the number, or install anew, without its volumes and the ConfigMap %s" $component $now $replicas $name) -}}
{{- end -}}
apiVersion: v1
kind: ConfigMap
metadata:
  {{- include "common.metadata" (list $root (printf "%s-quorum" $component) $component) | nindent 2 }}
  annotations:
    helm.sh/resource-policy: keep
immutable: true
data:
  members: {{ $replicas | quote }}
{{- end -}}

{{/* The init container of a quorum's members: (list $ image "component" replicas), image as in values. */}}
{{- define "common.quorumCheck" -}}
{{- $root := index . 0 -}}
{{- $component := index . 2 -}}
- name: quorum
  image: {{ include "common.image" (list $root (index . 1)) }}
  imagePullPolicy: {{ include "common.pullPolicy" $root }}
  command:
    - bash
    - -c
    - |
      [ "$INSTALLED" = "$TOLD" ] && exit
      echo "error: {{ $component }} was installed with $INSTALLED replicas and is told of $TOLD: set them to $INSTALLED again" >&2
      exit 1
  env:
    - name: INSTALLED
      valueFrom: {configMapKeyRef: {name: {{ include "common.name" (list $root (printf "%s-quorum" $component)) }}, key: members}}
    - {name: TOLD, value: {{ index . 3 | quote }}}
  securityContext:
    {{- include "common.containerSecurityContext" $root | nindent 4 }}
  resources:
    requests: {cpu: 5m, memory: 16Mi}
    limits: {memory: 64Mi}
{{- end -}}
