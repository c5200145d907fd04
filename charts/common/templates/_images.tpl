{{/*
An image's full name: (list $ .Values.image). A repository of ours gets its own global tag, else that of all, else the chart's
version.
*/}}
{{- define "common.image" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
{{- $global := dig "image" dict ($root.Values.global | default dict) -}}
{{- $registry := $image.registry | default $global.registry -}}
{{- $own := get ($global.tags | default dict) (base $image.repository) -}}
{{- $tag := $image.tag | default $own | default $global.tag | default $root.Chart.Version -}}
{{- if $registry }}{{ trimSuffix "/" $registry }}/{{ end }}{{ $image.repository }}:{{ $tag }}
{{- end -}}

{{- define "common.pullPolicy" -}}
{{- dig "image" "pullPolicy" "IfNotPresent" (.Values.global | default dict) -}}
{{- end -}}

{{/* The pod's imagePullSecrets; nothing when there are none. */}}
{{- define "common.pullSecrets" -}}
{{- with dig "imagePullSecrets" list (.Values.global | default dict) -}}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end -}}
{{- end -}}
