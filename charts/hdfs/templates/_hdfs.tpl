{{/* Addresses of the JournalNodes: host:port, separated by spaces. */}}
{{- define "hdfs.journalnodes" -}}
{{- range $i := until (int .Values.journalnode.replicas) -}}
{{- if $i }} {{ end }}{{ include "common.name" (list $ (printf "hdfs-journalnode-%d" $i)) }}:8485
{{- end -}}
{{- end -}}

{{/* DataNodes that are not being taken away. */}}
{{- define "hdfs.staying" -}}
{{- sub (int .Values.datanode.replicas) (int .Values.datanode.decommission) -}}
{{- end -}}

{{/* Those that are, by the names under which they are known: the data of a ConfigMap that NameNodes alone read. */}}
{{- define "hdfs.leaving" -}}
{{- $root := . -}}
{{- $members := include "common.name" (list . "hdfs-datanode-members") -}}
hosts: |
  # DataNodes that are being taken away.
  {{- range $i := untilStep (include "hdfs.staying" . | int) (int .Values.datanode.replicas) 1 }}
  {{ include "common.name" (list $root (printf "hdfs-datanode-%d" $i)) }}.{{ $members }}.{{ $root.Release.Namespace }}.svc
  {{- end }}
{{- end -}}

{{/*
Refuses to take away DataNodes that were not being taken away before: what they alone have would be missing. Under
`helm template` there is nothing to compare with; the volumes stay in any case.
*/}}
{{- define "hdfs.fewerDataNodes" -}}
{{- $replicas := int .Values.datanode.replicas -}}
{{- $set := lookup "apps/v1" "StatefulSet" .Release.Namespace (include "common.name" (list . "hdfs-datanode")) | default dict -}}
{{- $now := dig "spec" "replicas" 0 $set | int -}}
{{- $config := lookup "v1" "ConfigMap" .Release.Namespace (include "common.name" (list . "hdfs-leaving")) | default dict -}}
{{- $leaving := regexFindAll "\\.svc" (dig "data" "hosts" "" $config) -1 | len -}}
{{- if lt $replicas 1 -}}
{{- fail "hdfs-datanode needs at least 1 replica" -}}
{{- end -}}
{{- if lt (include "hdfs.staying" . | int) 1 -}}
{{- fail (printf "hdfs.datanode.decommission is %d of %d replicas: at least 1 has to stay" (int .Values.datanode.decommission) $replicas) -}}
{{- end -}}
{{- if lt $replicas (sub $now $leaving | int) -}}
{{- fail (printf "hdfs-datanode runs with %d replicas, of which %d are being taken away, and %d would take away more: set hdfs.datanode.decommission to %d, and then the number (docs/kubernetes.md, Fewer servers)" $now $leaving $replicas (sub $now $replicas)) -}}
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

{{/* What servers and clients of HDFS have in common: of hdfs-site.xml, and the whole of core-site.xml. */}}
{{- define "hdfs.client" }}
<property><name>dfs.client.use.datanode.hostname</name><value>true</value></property>
<property><name>dfs.datanode.use.datanode.hostname</name><value>true</value></property>
<!-- ms until a writer asks again whether its last block is reported, doubled each time: the default of 400 is what
     closing a small file would take. -->
<property><name>dfs.client.block.write.locateFollowingBlock.initial.delay.ms</name><value>5</value></property>
<property><name>dfs.client.block.write.locateFollowingBlock.retries</name><value>12</value></property>
{{- end }}

{{- define "hdfs.core" }}
<?xml version="1.0" encoding="UTF-8"?>
<configuration>
  <property><name>fs.defaultFS</name><value>{{ include "common.address" (list . "hdfs") }}</value></property>
  <property><name>hadoop.tmp.dir</name><value>/tmp/hadoop</value></property>
  <!-- Who asks the pages without a name is nobody, and not the user whose all is. -->
  <property><name>hadoop.http.staticuser.user</name><value>dr.who</value></property>
  <property><name>hadoop.security.token.service.use_ip</name><value>true</value></property>
  <!-- Metrics for Prometheus at /prom of the servers' pages. -->
  <property><name>hadoop.prometheus.endpoint.enabled</name><value>true</value></property>
  <!-- Clients that start beside the NameNode wait for it. -->
  <property><name>ipc.client.connect.max.retries</name><value>60</value></property>
  <property><name>ipc.client.connect.retry.interval</name><value>500</value></property>

  {{- if .Values.ha.enabled }}
  <property><name>ha.zookeeper.quorum</name><value>{{ include "common.address" (list . "zookeeper") }}:2181</value></property>
  <!-- ms until a NameNode that is gone is given up. -->
  <property><name>ha.zookeeper.session-timeout.ms</name><value>10000</value></property>
  <property><name>ha.failover-controller.graceful-fence.connection.retries</name><value>0</value></property>
  {{- end }}
  <!-- The metastore touches folders in the name of its clients, who are these users, and the SQL endpoint in its own. -->
  <property><name>hadoop.proxyuser.ecommerce.hosts</name><value>*</value></property>
  <property><name>hadoop.proxyuser.ecommerce.users</name><value>ecommerce,batch</value></property>
  <property><name>hadoop.proxyuser.batch.hosts</name><value>*</value></property>
  <property><name>hadoop.proxyuser.batch.users</name><value>batch</value></property>
</configuration>
{{- end }}

{{/* The data of the ConfigMap of the servers, and of their clients. */}}
{{- define "hdfs.data" -}}
core-site.xml: |
  {{- include "hdfs.core" . | trim | nindent 2 }}
hdfs-site.xml: |
  <?xml version="1.0" encoding="UTF-8"?>
  <configuration>
    <!-- Of a NameNode while DataNodes are being taken away: as many as stay. -->
    <property><name>dfs.replication</name><value>${env.DFS_REPLICATION:-{{ min 3 .Values.datanode.replicas }}}</value></property>
    <property><name>dfs.hosts.exclude</name><value>/etc/hadoop/leaving/hosts</value></property>
    <property><name>dfs.namenode.name.dir</name><value>file:///var/lib/hadoop/namenode</value></property>
    <property><name>dfs.datanode.data.dir</name><value>file:///var/lib/hadoop/datanode</value></property>
    {{- if .Values.ha.enabled }}
    {{- include "hdfs.nameservice" . | nindent 4 }}
    <property><name>dfs.namenode.shared.edits.dir</name><value>qjournal://{{ include "hdfs.journalnodes" . | replace " " ";" }}/{{ include "common.name" (list . "hdfs-namenode") }}</value></property>
    <property><name>dfs.journalnode.edits.dir</name><value>/var/lib/hadoop/journalnode</value></property>
    <property><name>dfs.ha.automatic-failover.enabled</name><value>true</value></property>
    <!-- JournalNodes take edits of one NameNode alone, so that there is no other to be shut out. -->
    <property><name>dfs.ha.fencing.methods</name><value>shell(/bin/true)</value></property>
    <!-- s between the standby's readings of the journal. -->
    <property><name>dfs.ha.tail-edits.period</name><value>5</value></property>
    <property><name>dfs.namenode.http-bind-host</name><value>0.0.0.0</value></property>
    {{- else }}
    <property><name>dfs.namenode.rpc-address</name><value>{{ include "common.name" (list . "hdfs-namenode") }}:8020</value></property>
    <property><name>dfs.namenode.http-address</name><value>0.0.0.0:9870</value></property>
    {{- end }}
    <property><name>dfs.namenode.rpc-bind-host</name><value>0.0.0.0</value></property>
    <property><name>dfs.datanode.address</name><value>0.0.0.0:9866</value></property>
    <property><name>dfs.datanode.http.address</name><value>0.0.0.0:9864</value></property>
    <property><name>dfs.datanode.ipc.address</name><value>0.0.0.0:9867</value></property>
    <property><name>dfs.datanode.hostname</name><value>${env.POD_ADDRESS}</value></property>
    <property><name>dfs.namenode.datanode.registration.ip-hostname-check</name><value>false</value></property>
    <!-- Users of HDFS are none of the container's; nobody looks for their groups. -->
    <property><name>hadoop.user.group.static.mapping.overrides</name><value>dr.who=;hdfs=;ecommerce=;batch=;reader=</value></property>
    <property><name>dfs.namenode.safemode.extension</name><value>0</value></property>
    <property><name>dfs.namenode.safemode.min.datanodes</name><value>1</value></property>
    <property><name>dfs.namenode.handler.count</name><value>8</value></property>
    <property><name>dfs.datanode.handler.count</name><value>4</value></property>
    <property><name>dfs.heartbeat.interval</name><value>1</value></property>
    {{- if lt (int .Values.datanode.replicas) 3 }}
    <!-- A lone DataNode must not be given up, nor replaced, while a writer waits for it. -->
    <property><name>dfs.client.block.write.replace-datanode-on-failure.policy</name><value>NEVER</value></property>
    {{- end }}
    {{- include "hdfs.client" . | nindent 4 }}
    <property><name>dfs.datanode.max.transfer.threads</name><value>4096</value></property>
    <property><name>dfs.datanode.du.reserved</name><value>0</value></property>
    <property><name>dfs.datanode.synconclose</name><value>false</value></property>
    <property><name>dfs.namenode.edits.noeditlogchannelflush</name><value>false</value></property>
  </configuration>
log4j.properties: |
  log4j.rootLogger=INFO, out
  log4j.appender.out=org.apache.log4j.ConsoleAppender
  log4j.appender.out.layout=org.apache.log4j.PatternLayout
  log4j.appender.out.layout.ConversionPattern=%d{ISO8601} %-5p %c{1}: %m%n
  # A line for every block and every access.
  log4j.logger.BlockStateChange=WARN
  log4j.logger.org.apache.hadoop.hdfs.StateChange=WARN
  log4j.logger.org.apache.hadoop.hdfs.server.namenode.FSNamesystem.audit=WARN
  log4j.logger.org.apache.hadoop.hdfs.server.datanode.DataNode.clienttrace=WARN
  log4j.logger.datanode.webhdfs=WARN
{{- end -}}

{{- define "hdfs.clientData" -}}
core-site.xml: |
  {{- include "hdfs.core" . | trim | nindent 2 }}
hdfs-site.xml: |
  <?xml version="1.0" encoding="UTF-8"?>
  <configuration>
    <property><name>dfs.replication</name><value>{{ min 3 (include "hdfs.staying" . | int) }}</value></property>
    {{- if lt (include "hdfs.staying" . | int) 3 }}
    <property><name>dfs.client.block.write.replace-datanode-on-failure.policy</name><value>NEVER</value></property>
    {{- end }}
    {{- if .Values.ha.enabled }}
    {{- include "hdfs.nameservice" . | nindent 4 }}
    {{- end }}
    {{- include "hdfs.client" . | nindent 4 }}
  </configuration>
{{- end -}}
