{{/* Environment of every container of Airflow. */}}
{{- define "airflow.env" -}}
{{- $keys := .Values.existingKeysSecret | default (include "common.name" (list . "airflow-keys")) -}}
{{- $api := include "common.name" (list . "airflow-api-server") -}}
{{- $database := include "common.database" (list . "airflow-postgres" .Values.postgres "airflow") | fromYaml -}}
{{ include "common.postgresEnv" (list . "airflow-postgres" .Values.postgres) }}
- {name: AIRFLOW__DATABASE__SQL_ALCHEMY_CONN, value: "postgresql+psycopg2://{{ $database.user }}@{{ $database.host }}:{{ $database.port }}/{{ $database.database }}"}
{{- range $variable, $key := dict "AIRFLOW__CORE__FERNET_KEY" "fernet-key" "AIRFLOW__API_AUTH__JWT_SECRET" "jwt-secret" "AIRFLOW__API__SECRET_KEY" "api-secret-key" }}
- {name: {{ $variable }}, valueFrom: {secretKeyRef: {name: {{ $keys }}, key: {{ $key }}}}}
{{- end }}
{{- if .Values.auth.oidc.enabled }}
- {name: AIRFLOW__CORE__AUTH_MANAGER, value: airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager}
{{- else }}
- {name: LOGIN_USERNAME, valueFrom: {secretKeyRef: {name: {{ include "airflow.login" . }}, key: username}}}
- {name: AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS, value: "$(LOGIN_USERNAME):admin{{ range $name, $role := .Values.users }},{{ $name }}:{{ $role }}{{ end }}"}
- {name: AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE, value: /opt/airflow/run/passwords.json}
{{- end }}
- {name: AIRFLOW__CORE__EXECUTOR, value: LocalExecutor}
- {name: AIRFLOW__CORE__PARALLELISM, value: {{ .Values.scheduler.parallelism | quote }}}
- {name: AIRFLOW__CORE__EXECUTION_API_SERVER_URL, value: "http://{{ $api }}:8080/execution/"}
- {name: AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION, value: {{ .Values.dagsPaused | quote }}}
# Logs are read from the pod that wrote them, by its address.
- {name: AIRFLOW__CORE__HOSTNAME_CALLABLE, value: airflow.utils.net.get_host_ip_address}
- {name: AIRFLOW__LOGGING__BASE_LOG_FOLDER, value: /opt/airflow/logs}
- {name: AIRFLOW__API__WORKERS, value: "1"}
- {name: AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK, value: "True"}
- {name: AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES, value: "1"}
{{- with .Values.metrics.otlpEndpoint }}
- {name: AIRFLOW__METRICS__OTEL_ON, value: "True"}
- {name: OTEL_EXPORTER_OTLP_METRICS_ENDPOINT, value: {{ . | quote }}}
- {name: OTEL_EXPORTER_OTLP_METRICS_PROTOCOL, value: http/protobuf}
{{- end }}
{{- with .Values.traces.otlpEndpoint }}
- {name: AIRFLOW__TRACES__OTEL_ON, value: "True"}
- {name: OTEL_TRACES_EXPORTER, value: otlp_proto_http}
- {name: OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, value: {{ . | quote }}}
{{- end }}
{{- with .Values.lineage.openlineageUrl }}
- {name: AIRFLOW__OPENLINEAGE__TRANSPORT, value: {{ dict "type" "http" "url" . | toJson | quote }}}
- {name: AIRFLOW__OPENLINEAGE__NAMESPACE, value: {{ printf "%s/%s" $.Release.Namespace $.Release.Name | quote }}}
- {name: ECOMMERCE_TASK_METASTORE, value: {{ include "common.hostPort" (list $ "metastore") | quote }}}
{{- end }}
- {name: ECOMMERCE_TASK_RUNTIME, value: kubernetes}
- {name: ECOMMERCE_TASK_IMAGE, value: {{ include "common.image" (list . .Values.tasks.image) }}}
- {name: ECOMMERCE_TASK_IMAGE_PULL_POLICY, value: {{ include "common.pullPolicy" . }}}
- {name: ECOMMERCE_TASK_IMAGE_PULL_SECRETS, value: {{ dig "imagePullSecrets" list (.Values.global | default dict) | join "," | quote }}}
- {name: ECOMMERCE_TASK_NAMESPACE, value: {{ .Release.Namespace }}}
- {name: ECOMMERCE_TASK_SERVICE_ACCOUNT, value: {{ include "common.name" (list . "airflow-task") }}}
- {name: ECOMMERCE_TASK_CONFIGMAP, value: {{ include "common.settingsConfigMap" . | quote }}}
{{- if include "common.sqlSecured" . }}
- {name: ECOMMERCE_TASK_SQL_CA_SECRET, value: {{ include "common.sqlTlsSecret" . }}}
{{- end }}
{{- with include "common.sqlLoginSecret" . }}
- {name: ECOMMERCE_TASK_SQL_LOGIN_SECRET, value: {{ . }}}
{{- end }}
- {name: ECOMMERCE_DAG_START, valueFrom: {configMapKeyRef: {name: {{ include "common.name" (list . "airflow") }}, key: dag-start}}}
{{- range $name, $value := .Values.config }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end -}}

{{- define "airflow.login" -}}
{{- .Values.existingLoginSecret | default (include "common.name" (list . "airflow-login")) -}}
{{- end -}}

{{/* Refuses logins at an OpenID provider that nobody could make, or that would not be safe. */}}
{{- define "airflow.requireOidc" -}}
{{- $oidc := .Values.auth.oidc -}}
{{- range $value, $given := dict "issuer" $oidc.issuer "clientId" $oidc.clientId "existingSecret" $oidc.existingSecret "roles" (or $oidc.roles $oidc.defaultRole) -}}
{{- if not $given -}}
{{- fail (printf "auth.oidc.enabled is true: set auth.oidc.%s of the chart airflow" $value) -}}
{{- end -}}
{{- end -}}
{{- if not (hasPrefix "https://" $oidc.issuer) -}}
{{- fail (printf "auth.oidc.issuer of the chart airflow is %s: it must begin with https://, for who answers in its place says who everybody is" $oidc.issuer) -}}
{{- end -}}
{{- if not (has "openid" $oidc.scopes) -}}
{{- fail (printf "auth.oidc.scopes of the chart airflow is %s: without openid there is no ID token" (join ", " $oidc.scopes)) -}}
{{- end -}}
{{- if .Values.users -}}
{{- fail "users of the chart airflow have passwords, and auth.oidc.enabled has everybody log in at the issuer: remove them, and give roles by auth.oidc.roles" -}}
{{- end -}}
{{- end -}}

{{/* The data of the ConfigMap of logins at an OpenID provider; empty without. */}}
{{- define "airflow.oidcData" -}}
{{- if .Values.auth.oidc.enabled -}}
webserver_config.py: |
  {{- .Files.Get "files/webserver_config.py" | nindent 2 }}
{{- end -}}
{{- end -}}

{{/* What the API server alone is told of the provider; files/webserver_config.py reads it. */}}
{{- define "airflow.oidcEnv" -}}
{{- $oidc := .Values.auth.oidc -}}
{{- if $oidc.enabled }}
{{- include "airflow.requireOidc" . }}
- {name: OIDC_SETTINGS, value: {{ omit $oidc "enabled" "existingSecret" "caSecret" | toJson | quote }}}
- {name: OIDC_CLIENT_SECRET, valueFrom: {secretKeyRef: {name: {{ $oidc.existingSecret }}, key: client-secret}}}
{{- if $oidc.caSecret }}
- {name: REQUESTS_CA_BUNDLE, value: /etc/oidc/ca.crt}
{{- end }}
# A session ends half a day after the login, so that who has lost a group loses its role.
- {name: AIRFLOW__FAB__SESSION_LIFETIME_MINUTES, value: "720"}
- {name: AIRFLOW__FAB__SESSION_MAX_LIFETIME_MINUTES, value: "720"}
# The ingress says who asks, and whether by TLS; it leaves the host as it was asked for.
- {name: AIRFLOW__FAB__ENABLE_PROXY_FIX, value: "True"}
{{- range list "HOST" "PORT" "PREFIX" }}
- {name: AIRFLOW__FAB__PROXY_FIX_X_{{ . }}, value: "0"}
{{- end }}
- {name: AIRFLOW__FAB__COOKIE_SECURE, value: {{ ternary "True" "False" (dig "ingress" "tlsSecret" "" (.Values.global | default dict) | empty | not) | quote }}}
{{- end }}
{{- end -}}

{{- define "airflow.mounts" -}}
- {name: run, mountPath: /opt/airflow/run}
- {name: logs, mountPath: /opt/airflow/logs}
- {name: tmp, mountPath: /tmp}
- {name: configuration, mountPath: /opt/airflow/airflow.cfg, subPath: airflow.cfg}
{{- include "common.postgresMount" (list . "airflow-postgres" .Values.postgres) }}
{{- end -}}

{{- define "airflow.waitForPostgres" -}}
{{- include "common.waitFor" (list . .Values.image "postgres" (list "tcp" (include "common.databaseAddress" (list . "airflow-postgres" .Values.postgres "airflow")))) }}
{{- end -}}

{{/* Init containers that wait for the database and its schema: (list $ values) */}}
{{- define "airflow.wait" -}}
{{- $root := index . 0 -}}
{{- include "airflow.waitForPostgres" $root }}
- {{- include "common.container" (list $root "wait-for-migrations" (dict "image" $root.Values.image "resources" (dict "requests" (dict "cpu" "50m" "memory" "256Mi") "limits" (dict "memory" "768Mi")))) | nindent 2 }}
  args: [db, check-migrations, --migration-wait-timeout, "600"]
  env:
    {{- include "airflow.env" $root | nindent 4 }}
  volumeMounts:
    {{- include "airflow.mounts" $root | nindent 4 }}
{{- end -}}

{{/* The data of the ConfigMap: first day */}}
{{- define "airflow.data" -}}
dag-start: {{ . | quote }}
airflow.cfg: |
  # Settings come from the environment.
  [core]
{{- end -}}
