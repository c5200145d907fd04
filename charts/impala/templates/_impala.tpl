{{/* The data of the ConfigMap. */}}
{{- define "impala.data" -}}
hive-site.xml: |
  <?xml version="1.0" encoding="UTF-8"?>
  <configuration>
    <property><name>hive.metastore.uris</name><value>{{ include "common.address" (list . "metastore") }}</value></property>
  </configuration>
{{- end -}}
