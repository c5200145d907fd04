{{/* A ServiceAccount of the component's own: (list $ "component") */}}
{{- define "common.serviceAccount" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "common.metadata" . | nindent 2 }}
automountServiceAccountToken: false
{{- end -}}

{{/* The PodDisruptionBudget of a component, unless it is disabled: (list $ "component" values) */}}
{{- define "common.pdb" -}}
{{- $root := index . 0 -}}
{{- $budget := (index . 2).podDisruptionBudget -}}
{{- if $budget.enabled }}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "common.metadata" (list $root (index . 1)) | nindent 2 }}
spec:
  maxUnavailable: {{ $budget.maxUnavailable }}
  selector:
    matchLabels:
      {{- include "common.selectorLabels" (list $root (index . 1)) | nindent 6 }}
{{- end }}
{{- end -}}

{{/* A volumeClaimTemplate: (list $ "name" .Values.x.persistence) */}}
{{- define "common.volumeClaim" -}}
{{- $root := index . 0 -}}
{{- $persistence := index . 2 -}}
{{- $class := $persistence.storageClass | default (dig "storageClass" "" ($root.Values.global | default dict)) -}}
- metadata:
    name: {{ index . 1 }}
  spec:
    accessModes: [ReadWriteOnce]
    {{- with $class }}
    storageClassName: {{ . }}
    {{- end }}
    resources:
      requests:
        storage: {{ $persistence.size }}
{{- end -}}

{{/* Refuses to draw anything where `global.draw` is false: (list $ "the value that is to be set instead") */}}
{{- define "common.draw" -}}
{{- $root := index . 0 -}}
{{- if not (dig "draw" true ($root.Values.global | default dict)) -}}
{{- fail (printf "global.draw is false, so nothing is drawn: set %s of the chart %s" (index . 1) $root.Chart.Name) -}}
{{- end -}}
{{- end -}}

{{/*
A value of a Secret that is drawn once and kept over upgrades, base64: (list $ "secret-name" "key"). `helm template`
and dry runs see no cluster and draw a new one each time.
*/}}
{{- define "common.password" -}}
{{- $root := index . 0 -}}
{{- $there := lookup "v1" "Secret" $root.Release.Namespace (index . 1) -}}
{{- dig "data" (index . 2) (randAlphaNum 32 | b64enc) ($there | default dict) -}}
{{- end -}}

{{/*
Refuses another number of pods than an installed quorum has: (list $ "component" replicas). Its members are listed in their
settings: two new and empty ones would outvote the one that has the data.
*/}}
{{- define "common.fixedReplicas" -}}
{{- $root := index . 0 -}}
{{- $there := lookup "apps/v1" "StatefulSet" $root.Release.Namespace (include "common.name" (list $root (index . 1))) | default dict -}}
{{- $now := dig "spec" "replicas" 0 $there | int -}}
{{- if and $now (ne $now (int (index . 2))) -}}
{{- fail (printf "%s runs with %d replicas, and an upgrade to %d may lose its data: keep the number, or install anew" (index . 1) $now (int (index . 2))) -}}
{{- end -}}
{{- end -}}
