{{/* The data of the ConfigMap. */}}
{{- define "zookeeper.data" -}}
zoo.cfg: |
  clientPort=2181
  dataDir=/var/lib/zookeeper/data
  tickTime=2000
  initLimit=20
  syncLimit=5
  maxClientCnxns=0
  admin.enableServer=false
  4lw.commands.whitelist=srvr,ruok
  autopurge.snapRetainCount=3
  autopurge.purgeInterval=1
  {{- if gt (int .Values.replicas) 1 }}
  # A member starts before its own name is known, and would not listen at it.
  quorumListenOnAllIPs=true
  {{- range $i := until (int .Values.replicas) }}
  server.{{ add1 $i }}={{ include "common.name" (list $ "zookeeper") }}-{{ $i }}.{{ include "common.name" (list $ "zookeeper-members") }}.{{ $.Release.Namespace }}.svc:2888:3888
  {{- end }}
  {{- end }}
log4j.properties: |
  log4j.rootLogger=INFO, out
  log4j.appender.out=org.apache.log4j.ConsoleAppender
  log4j.appender.out.layout=org.apache.log4j.PatternLayout
  log4j.appender.out.layout.ConversionPattern=%d{ISO8601} %-5p %c{1}: %m%n
{{- end -}}
