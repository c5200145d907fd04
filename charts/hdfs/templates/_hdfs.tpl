{{/* Addresses of the JournalNodes: host:port, separated by spaces. */}}
{{- define "hdfs.journalnodes" -}}
{{- range $i := until (int .Values.journalnode.replicas) -}}
{{- if $i }} {{ end }}{{ include "common.name" (list $ (printf "hdfs-journalnode-%d" $i)) }}:8485
{{- end -}}
{{- end -}}

{{/* A Service with an address of its own, for pods that are not ready too: (list $ "name" "component" ports labels) */}}
{{- define "hdfs.service" -}}
{{- $root := index . 0 -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "common.metadata" (list $root (index . 1) (index . 2)) | nindent 2 }}
spec:
  publishNotReadyAddresses: true
  ports:
    {{- range $name, $port := index . 3 }}
    - {name: {{ $name }}, port: {{ $port }}, targetPort: {{ $name }}}
    {{- end }}
  selector:
    {{- include "common.selectorLabels" (list $root (index . 2)) | nindent 4 }}
    {{- with index . 4 }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{/*
Two NameNodes behind one name.
https://hadoop.apache.org/docs/r3.4.2/hadoop-project-dist/hadoop-hdfs/HDFSHighAvailabilityWithQJM.html
*/}}
{{- define "hdfs.nameservice" -}}
{{- $name := include "common.name" (list . "hdfs-namenode") -}}
<property><name>dfs.nameservices</name><value>{{ $name }}</value></property>
<property><name>dfs.ha.namenodes.{{ $name }}</name><value>nn0,nn1</value></property>
{{- range $i := until 2 }}
<property><name>dfs.namenode.rpc-address.{{ $name }}.nn{{ $i }}</name><value>{{ $name }}-{{ $i }}:8020</value></property>
<property><name>dfs.namenode.http-address.{{ $name }}.nn{{ $i }}</name><value>{{ $name }}-{{ $i }}:9870</value></property>
{{- end }}
<property><name>dfs.client.failover.proxy.provider.{{ $name }}</name><value>org.apache.hadoop.hdfs.server.namenode.ha.ConfiguredFailoverProxyProvider</value></property>
{{- end -}}
