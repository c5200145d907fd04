{{/* A page of a Service's port `http`, at <name>.<global.ingress.host>: (list $ "component" "name" "service") */}}
{{- define "common.ingress" -}}
{{- $root := index . 0 -}}
{{- $ingress := dig "ingress" dict ($root.Values.global | default dict) -}}
{{- if $ingress.enabled }}
{{- $host := printf "%s.%s" (index . 2) $ingress.host }}
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  {{- include "common.metadata" (list $root (index . 1)) | nindent 2 }}
  {{- with $ingress.annotations }}
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

{{/* The address of a page on the ingress, as a browser reaches it: (list $ "name") */}}
{{- define "common.page" -}}
{{- $ingress := (index . 0).Values.global.ingress -}}
http{{ if $ingress.tlsSecret }}s{{ end }}://{{ index . 1 }}.{{ $ingress.host }}{{ with $ingress.port }}:{{ . }}{{ end }}
{{- end -}}
