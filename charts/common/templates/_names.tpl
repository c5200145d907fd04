{{/* <release>-<component>: (list $ "component") */}}
{{- define "common.name" -}}
{{- $root := index . 0 -}}
{{- printf "%s-%s" $root.Release.Name (index . 1) | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{/* Labels by which Services and workloads select: (list $ "component") */}}
{{- define "common.selectorLabels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ index . 1 }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
{{- end -}}

{{/* All labels of a resource: (list $ "component") */}}
{{- define "common.labels" -}}
{{- $root := index . 0 -}}
{{ include "common.selectorLabels" . }}
app.kubernetes.io/component: {{ $root.Chart.Name }}
app.kubernetes.io/part-of: ecommerce-lambda
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version }}
{{- end -}}

{{/* Name and labels of a resource's metadata: (list $ "component") or (list $ "name" "component") */}}
{{- define "common.metadata" -}}
{{- $root := index . 0 -}}
name: {{ include "common.name" (list $root (index . 1)) }}
namespace: {{ $root.Release.Namespace }}
labels:
  {{- include "common.labels" (list $root (last .)) | nindent 2 }}
{{- end -}}

{{/*
Labels and annotations of a pod template, the user's included: (list $ "component" values). A fourth item has what the pod
reads of ConfigMaps, {name: data as YAML}: pods are replaced when these data change, and for no other change of it.
*/}}
{{- define "common.podMetadata" -}}
{{- $root := index . 0 -}}
{{- $values := index . 2 -}}
{{- $annotations := dict -}}
{{- if gt (len .) 3 -}}
{{- range $name, $data := index . 3 -}}
{{- with fromYaml $data }}{{ $_ := set $annotations (printf "checksum/%s" $name) (toJson . | sha256sum) }}{{ end -}}
{{- end -}}
{{- end -}}
labels:
  {{- include "common.labels" (list $root (index . 1)) | nindent 2 }}
  {{- with $values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge $annotations ($values.podAnnotations | default dict) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
