{{/*
Settings of the brokers, {name: value}, that keep what topics take within `diskPercent` of the volume: each partition has the
same share. Whole segments go, so a partition holds up to one more than is kept. A topic's copies are spread evenly.
*/}}
{{- define "kafka.retention" -}}
{{- if .Values.diskPercent }}
{{- $replicas := max 1 .Values.replicas | int -}}
{{- $partitions := 0 -}}
{{- range .Values.topics }}
{{- $partitions = divf (mul .partitions (min 3 $replicas)) $replicas | ceil | int | add $partitions -}}
{{- end }}
{{- $share := divf (mulf (include "common.bytes" .Values.persistence.size | float64) (divf .Values.diskPercent 100)) $partitions -}}
{{- $segment := min 1073741824 (divf $share 4 | int64) -}}
{{- if lt $segment 8454144 }}
{{- fail (printf "kafka.persistence.size %s leaves each of a broker's %d partitions %d bytes, and a fourth of it must hold the largest record (8454144): give it more, or set kafka.diskPercent 0" (toString .Values.persistence.size) $partitions (int64 $share)) -}}
{{- end }}
log.retention.bytes: {{ sub (int64 $share) $segment }}
log.segment.bytes: {{ $segment }}
# ms: what is too much goes before the rest of the volume is full.
log.retention.check.interval.ms: 30000
log.segment.delete.delay.ms: 10000
{{- end }}
{{- end -}}

{{/* Copies in step that a record needs. */}}
{{- define "kafka.minInsync" -}}
{{- ternary 2 1 (ge (int .Values.replicas) 3) -}}
{{- end -}}

{{/* The data of the ConfigMap. */}}
{{- define "kafka.data" -}}
{{- $replicas := int .Values.replicas }}
{{- $brokers := include "common.name" (list . "kafka-brokers") }}
{{- $name := include "common.name" (list . "kafka") }}
{{- $voters := list }}
{{- range $i := until $replicas }}
{{- $voters = append $voters (printf "%d@%s-%d.%s.%s.svc:9093" $i $name $i $brokers $.Release.Namespace) }}
{{- end }}
server.properties: |
  node.id=${NODE_ID}
  process.roles=broker,controller
  controller.quorum.voters={{ join "," $voters }}
  {{- if include "common.kafkaSecured" . }}
  # Clients log in by password; brokers, controllers and the administrator by certificates of the platform's CA.
  listeners=CLIENTS://:9092,BROKERS://:9094,CONTROLLER://:9093
  advertised.listeners=CLIENTS://${ADDRESS}:9092,BROKERS://${ADDRESS}:9094
  listener.security.protocol.map=CLIENTS:SASL_SSL,BROKERS:SSL,CONTROLLER:SSL
  inter.broker.listener.name=BROKERS
  listener.name.brokers.ssl.client.auth=required
  listener.name.controller.ssl.client.auth=required
  ssl.keystore.type=PEM
  ssl.keystore.location=/tmp/server.pem
  ssl.truststore.type=PEM
  ssl.truststore.location=/etc/kafka-tls/ca.crt
  sasl.enabled.mechanisms=SCRAM-SHA-512
  listener.name.clients.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
  authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
  super.users=User:CN={{ $name }};User:CN={{ include "common.name" (list . "kafka-admin") }}
  {{- else }}
  listeners=PLAINTEXT://:9092,CONTROLLER://:9093
  advertised.listeners=PLAINTEXT://${ADDRESS}:9092
  listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
  {{- end }}
  controller.listener.names=CONTROLLER
  log.dirs=/var/lib/kafka/logs

  # Topics come from contracts.topics, never from a typing mistake.
  auto.create.topics.enable=false
  default.replication.factor={{ min 3 $replicas }}
  min.insync.replicas={{ include "kafka.minInsync" . }}
  offsets.topic.replication.factor={{ min 3 $replicas }}
  offsets.topic.num.partitions=8
  transaction.state.log.replication.factor={{ min 3 $replicas }}
  transaction.state.log.min.isr={{ include "kafka.minInsync" . }}
  transaction.state.log.num.partitions=4
  share.coordinator.state.topic.replication.factor={{ min 3 $replicas }}
  share.coordinator.state.topic.min.isr={{ include "kafka.minInsync" . }}
  share.coordinator.state.topic.num.partitions=1
  group.initial.rebalance.delay.ms=0
  message.max.bytes=8454144
  replica.fetch.max.bytes=8454144

  {{- range $name, $value := include "kafka.retention" . | fromYaml }}
  {{ $name }}={{ int64 $value }}
  {{- end }}

  num.network.threads=2
  num.io.threads=4
  log.cleaner.dedupe.buffer.size=16777216
  controlled.shutdown.enable=true
metrics.yaml: |
  {{- .Files.Get "files/metrics.yaml" | nindent 2 }}
log4j2.properties: |
  rootLogger.level=INFO
  rootLogger.appenderRef.out.ref=out
  appender.out.type=Console
  appender.out.name=out
  appender.out.layout.type=PatternLayout
  appender.out.layout.pattern=%d{ISO8601} %-5p %c{1}: %m%n
  # Each prints hundreds of lines of settings at the start.
  logger.config.name=org.apache.kafka.common.config.AbstractConfig
  logger.config.level=WARN
  logger.kafkaconfig.name=kafka.server.KafkaConfig
  logger.kafkaconfig.level=WARN
{{- end -}}
