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

{{/*
A volumeClaimTemplate: (list $ "name" .Values.x.persistence "component"). It cannot be changed where the StatefulSet is there,
so another size is refused with what to do.
*/}}
{{- define "common.volumeClaim" -}}
{{- $root := index . 0 -}}
{{- $persistence := index . 2 -}}
{{- $set := include "common.name" (list $root (index . 3)) -}}
{{- $there := lookup "apps/v1" "StatefulSet" $root.Release.Namespace $set | default dict -}}
{{- range dig "spec" "volumeClaimTemplates" list $there -}}
{{- $size := .spec.resources.requests.storage -}}
{{- if ne (include "common.bytes" $size) (include "common.bytes" $persistence.size) -}}
{{- fail (printf "the volumes of %s have %s, and a StatefulSet's claims cannot be changed to %s by an upgrade: enlarge each claim %s-%s-N with `kubectl patch pvc`, then `kubectl delete statefulset %s --cascade=orphan`, which leaves its pods, and upgrade again" $set $size (toString $persistence.size) .metadata.name $set $set) -}}
{{- end -}}
{{- end -}}
- metadata:
    name: {{ index . 1 }}
  spec:
    accessModes: [ReadWriteOnce]
    {{- with include "common.storageClass" (list $root $persistence) }}
    storageClassName: {{ . }}
    {{- end }}
    resources:
      requests:
        storage: {{ $persistence.size }}
{{- end -}}

{{/* The storage class of a volume, empty for the cluster's default: (list $ .Values.x.persistence) */}}
{{- define "common.storageClass" -}}
{{- (index . 1).storageClass | default (dig "storageClass" "" ((index . 0).Values.global | default dict)) -}}
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

{{/* Bytes of a quantity such as 20Gi */}}
{{- define "common.bytes" -}}
{{- $number := regexFind "^[0-9.]+" (toString .) -}}
{{- $units := dict "" 1 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "Pi" 1125899906842624 "Ei" 1152921504606846976 -}}
{{- mulf (float64 $number) (index $units (trimPrefix $number (toString .))) | int64 -}}
{{- end -}}
