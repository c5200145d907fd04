{{/*
A page of a Service's port `http`, at <name>.<global.ingress.host>, with annotations besides the global ones:
(list $ "component" "name" "service" annotations)
*/}}
{{- define "common.ingress" -}}
{{- $root := index . 0 -}}
{{- $ingress := dig "ingress" dict ($root.Values.global | default dict) -}}
{{- if $ingress.enabled }}
{{- $host := printf "%s.%s" (index . 2) $ingress.host }}
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  {{- include "common.metadata" (list $root (index . 1)) | nindent 2 }}
  {{- with merge dict (index . 4) ($ingress.annotations | default dict) }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- with $ingress.className }}
  ingressClassName: {{ . }}
  {{- end }}
  {{- with $ingress.tlsSecret }}
  tls:
    - {hosts: [{{ $host }}], secretName: {{ . }}}
  {{- end }}
  rules:
    - host: {{ $host }}
      http:
        paths:
          - path: /
            pathType: Prefix
            backend:
              service:
                name: {{ include "common.name" (list $root (index . 3)) }}
                port: {name: http}
{{- end }}
{{- end -}}

{{/*
The same of a page that asks nobody for a login, where the part's `ingress` says that something before it does; refused
otherwise, and where everybody in the cluster would reach it: (list $ "component" "name" "service")
*/}}
{{- define "common.ingressWithoutLogin" -}}
{{- $root := index . 0 -}}
{{- $own := $root.Values.ingress -}}
{{- $global := $root.Values.global | default dict -}}
{{- if dig "ingress" "enabled" false $global }}
{{- $asks := $own.loginInFront -}}
{{- range $key, $_ := merge dict $own.annotations (dig "ingress" "annotations" dict $global) -}}
{{- if regexMatch "/(auth-url|auth-type|auth-tls-secret|router\\.middlewares|plugins)$" $key -}}{{- $asks = true -}}{{- end -}}
{{- end -}}
{{- if not $asks -}}
{{- fail (printf "%s.ingress.enabled puts a page on the ingress that asks nobody for a login: name the controller's authentication in %s.ingress.annotations, such as nginx.ingress.kubernetes.io/auth-url, or set %s.ingress.loginInFront" $root.Chart.Name $root.Chart.Name $root.Chart.Name) -}}
{{- end -}}
{{- if and (include "common.networkPolicies" $root) (not (dig "networkPolicies" "ingressController" list $global)) -}}
{{- fail (printf "%s.ingress.enabled opens a page that asks nobody for a login: say in global.networkPolicies.ingressController which pods may reach it, those of the ingress controller" $root.Chart.Name) -}}
{{- end -}}
{{ include "common.ingress" (append . $own.annotations) }}
{{- end }}
{{- end -}}

{{/* The address of a page on the ingress, as a browser reaches it: (list $ "name") */}}
{{- define "common.page" -}}
{{- $ingress := (index . 0).Values.global.ingress -}}
http{{ if $ingress.tlsSecret }}s{{ end }}://{{ index . 1 }}.{{ $ingress.host }}{{ with $ingress.port }}:{{ . }}{{ end }}
{{- end -}}
