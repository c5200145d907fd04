{{/* The data of the ConfigMap. */}}
{{- define "hbase.data" -}}
hbase-site.xml: |
  <?xml version="1.0" encoding="UTF-8"?>
  <configuration>
    <property><name>hbase.cluster.distributed</name><value>true</value></property>
    <property><name>hbase.rootdir</name><value>{{ include "common.address" (list . "hdfs") }}/hbase</value></property>
    <property><name>hbase.tmp.dir</name><value>/tmp/hbase</value></property>
    <property><name>hbase.wal.provider</name><value>filesystem</value></property>
    <property><name>hbase.zookeeper.quorum</name><value>{{ include "common.address" (list . "zookeeper") }}</value></property>
    <property><name>hbase.zookeeper.property.clientPort</name><value>2181</value></property>
    <property><name>zookeeper.session.timeout</name><value>20000</value></property>

    <property><name>hbase.master.hostname</name><value>${env.POD_ADDRESS}</value></property>
    <property><name>hbase.master.ipc.address</name><value>0.0.0.0</value></property>
    <property><name>hbase.master.port</name><value>16000</value></property>
    <property><name>hbase.master.info.port</name><value>16010</value></property>
    <property><name>hbase.unsafe.regionserver.hostname</name><value>${env.POD_ADDRESS}</value></property>
    <property><name>hbase.regionserver.ipc.address</name><value>0.0.0.0</value></property>
    <property><name>hbase.regionserver.port</name><value>16020</value></property>
    <property><name>hbase.regionserver.info.port</name><value>16030</value></property>

    <property><name>hbase.thrift.info.port</name><value>-1</value></property>
    <property><name>hbase.thrift.minWorkerThreads</name><value>16</value></property>
    <property><name>hbase.thrift.maxWorkerThreads</name><value>200</value></property>
    <!-- ms; happybase keeps its connections open while a stream is idle. -->
    <property><name>hbase.thrift.server.socket.read.timeout</name><value>600000</value></property>

    <property><name>hbase.master.wait.on.regionservers.mintostart</name><value>1</value></property>
    <!-- ms for which a master that starts waits for more of them; their number is not here, or scaling them would restart all. -->
    <property><name>hbase.master.wait.on.regionservers.timeout</name><value>3000</value></property>
    <property><name>hbase.master.wait.on.regionservers.interval</name><value>200</value></property>
    <property><name>hbase.regionserver.msginterval</name><value>300</value></property>
    <property><name>hbase.regionserver.handler.count</name><value>8</value></property>
    <property><name>hbase.regionserver.metahandler.count</name><value>3</value></property>
    <!-- bytes; the default of 128 MiB for each region is more than a small heap has for all of them. -->
    <property><name>hbase.hregion.memstore.flush.size</name><value>33554432</value></property>
    <property><name>hbase.regionserver.global.memstore.size</name><value>0.3</value></property>
    <!-- The speed layer reads back what it wrote last: keep it in the cache when it is flushed. -->
    <property><name>hbase.rs.cacheblocksonwrite</name><value>true</value></property>
    <property><name>hfile.block.cache.size</name><value>0.2</value></property>
    <property><name>hbase.client.retries.number</name><value>10</value></property>
  </configuration>
hadoop-metrics2-hbase.properties: |
  # Seconds for which /jmx answers from its cache; the probes read it.
  *.period=1
log4j.properties: |
  log4j.rootLogger=INFO, out
  log4j.appender.out=org.apache.log4j.ConsoleAppender
  log4j.appender.out.layout=org.apache.log4j.PatternLayout
  log4j.appender.out.layout.ConversionPattern=%d{ISO8601} %-5p %c{1}: %m%n
  log4j.logger.org.apache.zookeeper=WARN
  log4j.logger.org.apache.hadoop=INFO
  log4j.logger.org.apache.hadoop.hbase.util.ServerCommandLine=WARN
  # A line for every probe and page of the web interface.
  log4j.logger.http.requests=WARN
{{- end -}}
