{{/*
A `*-site.xml` of Hadoop's kind from settings: (list settings overrides). The overrides are the user's values, which the
second argument may lack.
*/}}
{{- define "common.siteXml" -}}
<?xml version="1.0" encoding="UTF-8"?>
<configuration>
{{- range $name, $value := merge (dict) (index . 1 | default dict) (index . 0) }}
  <property><name>{{ $name }}</name><value>{{ include "common.plain" $value | html }}</value></property>
{{- end }}
</configuration>
{{- end -}}

{{/* Lines of a properties file from settings: (list settings overrides) */}}
{{- define "common.properties" -}}
{{- range $name, $value := merge (dict) (index . 1 | default dict) (index . 0) }}
{{ $name }}={{ include "common.plain" $value }}
{{- end }}
{{- end -}}

{{/* A scalar as text: a large whole number of a values file would otherwise read 8.454144e+06. */}}
{{- define "common.plain" -}}
{{- if and (kindIs "float64" .) (eq . (floor .)) -}}
{{- int64 . -}}
{{- else -}}
{{- . -}}
{{- end -}}
{{- end -}}

{{/* The domain in which a pod of a headless Service has its name: (list $ "service") */}}
{{- define "common.podDomain" -}}
{{- $root := index . 0 -}}
{{- $domain := dig "clusterDomain" "" ($root.Values.global | default dict) | default "cluster.local" -}}
{{ include "common.name" . }}.{{ $root.Release.Namespace }}.svc.{{ $domain }}
{{- end -}}

{{/*
Environment entries with the pod's name and its stable address, for settings that say ${env.POD_ADDRESS}:
(list $ "headless-service")
*/}}
{{- define "common.podAddressEnv" -}}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: POD_ADDRESS
  value: $(POD_NAME).{{ include "common.podDomain" . }}
{{- end -}}

{{/* The environment entry of a Java server: (list values "-Dmore=options"), the second may be empty. */}}
{{- define "common.javaOptions" -}}
- name: JAVA_OPTS
  value: {{ printf "-XX:+ExitOnOutOfMemoryError %s %s" (index . 1) (index . 0).javaOpts | trim | quote }}
{{- end -}}

{{/*
The three probes of a server: (list live ready), each a probe's action (exec, httpGet). It has ten minutes to start, and
is restarted when it does not answer for two.
*/}}
{{- define "common.probes" -}}
startupProbe:
  {{- index . 0 | nindent 2 }}
  periodSeconds: 5
  timeoutSeconds: 10
  failureThreshold: 120
readinessProbe:
  {{- index . 1 | nindent 2 }}
  periodSeconds: 10
  timeoutSeconds: 10
livenessProbe:
  {{- index . 0 | nindent 2 }}
  periodSeconds: 20
  timeoutSeconds: 10
  failureThreshold: 6
{{- end -}}

{{/* A probe's action that runs a command: (list "word" …) */}}
{{- define "common.exec" -}}
exec:
  command: {{ toJson . }}
{{- end -}}

{{/* A probe's action that reads a bean's page of a Hadoop or HBase server: (list "port" "bean") */}}
{{- define "common.beanPage" -}}
httpGet:
  port: {{ index . 0 }}
  path: {{ printf "/jmx?qry=%s" (index . 1) | quote }}
{{- end -}}

{{/*
Volumes of ConfigMaps for `volumes:`, with an emptyDir for /tmp: (list (dict "volume" "configmap-name" …))
*/}}
{{- define "common.configVolumes" -}}
- {name: tmp, emptyDir: {}}
{{- range $volume, $name := index . 0 }}
- {name: {{ $volume }}, configMap: {name: {{ $name }}}}
{{- end }}
{{- end -}}
