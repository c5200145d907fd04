{{/*
A PostgreSQL of one database: (list $ "component" values "database"). Makes the ServiceAccount, Service, StatefulSet and,
unless `values.existingSecret` names one with a key `password`, the Secret <release>-<component>. User and database have
the same name. With `values.external.host` nothing of this is made; with `values.backup.enabled` the CronJob that dumps
either. `values`: image, resources, persistence, existingSecret, external, backup, and the scheduling values.
*/}}
{{- define "common.postgres" -}}
{{- $values := index . 2 -}}
{{- if not $values.external.host }}
{{ include "common.postgresServer" . }}
{{- else if not $values.existingSecret }}
{{- fail (printf "postgres.external.host of the chart %s is %s: set postgres.existingSecret, a Secret with the key `password`" (index . 0).Chart.Name $values.external.host) -}}
{{- end }}
{{- if $values.backup.enabled }}
---
{{ include "common.postgresBackup" . }}
{{- end }}
{{- end -}}

{{- define "common.postgresServer" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $values := index . 2 -}}
{{- $database := index . 3 -}}
{{- $name := include "common.name" (list $root $component) -}}
{{ include "common.serviceAccount" (list $root $component) }}
---
{{- if not $values.existingSecret }}
{{- include "common.draw" (list $root "postgres.existingSecret") }}
apiVersion: v1
kind: Secret
metadata:
  {{- include "common.metadata" (list $root $component) | nindent 2 }}
  annotations:
    helm.sh/resource-policy: keep
data:
  password: {{ include "common.password" (list $root $name "password") }}
---
{{- end }}
apiVersion: v1
kind: Service
metadata:
  {{- include "common.metadata" (list $root $component) | nindent 2 }}
spec:
  ports:
    - {name: postgres, port: 5432, targetPort: postgres}
  selector:
    {{- include "common.selectorLabels" (list $root $component) | nindent 4 }}
---
apiVersion: apps/v1
kind: StatefulSet
metadata:
  {{- include "common.metadata" (list $root $component) | nindent 2 }}
spec:
  serviceName: {{ $name }}
  replicas: 1
  selector:
    matchLabels:
      {{- include "common.selectorLabels" (list $root $component) | nindent 6 }}
  template:
    metadata:
      {{- include "common.podMetadata" (list $root $component $values) | nindent 6 }}
    spec:
      {{- include "common.podSpec" (list $root $component $values) | nindent 6 }}
      containers:
        - {{- include "common.container" (list $root "postgres" $values) | nindent 10 }}
          env:
            - {name: POSTGRES_USER, value: {{ $database }}}
            - {name: POSTGRES_DB, value: {{ $database }}}
            - {name: PGDATA, value: /var/lib/postgresql/data/pgdata}
            - name: POSTGRES_PASSWORD
              valueFrom: {{- include "common.postgresPassword" (list $root $component $values) | nindent 16 }}
            {{- include "common.extraEnv" (list $values) | nindent 12 }}
          ports:
            - {name: postgres, containerPort: 5432}
          {{- /* The server's own question: it answers when it takes connections to this database. */}}
          startupProbe:
            exec:
              command: [pg_isready, -h, 127.0.0.1, -U, {{ $database }}, -d, {{ $database }}]
            periodSeconds: 3
            timeoutSeconds: 5
            failureThreshold: 100
          readinessProbe:
            exec:
              command: [pg_isready, -h, 127.0.0.1, -U, {{ $database }}, -d, {{ $database }}]
            periodSeconds: 10
            timeoutSeconds: 5
          livenessProbe:
            exec:
              command: [pg_isready, -h, 127.0.0.1, -U, {{ $database }}, -d, {{ $database }}]
            periodSeconds: 20
            timeoutSeconds: 10
            failureThreshold: 6
          volumeMounts:
            - {name: data, mountPath: /var/lib/postgresql/data}
            - {name: run, mountPath: /var/run/postgresql}
            - {name: tmp, mountPath: /tmp}
      volumes:
        - {name: run, emptyDir: {}}
        - {name: tmp, emptyDir: {}}
  volumeClaimTemplates:
    {{- include "common.volumeClaim" (list $root "data" $values.persistence $component) | nindent 4 }}
{{- end -}}

{{/* The Secret's reference for an env entry's valueFrom: (list $ "component" values) */}}
{{- define "common.postgresPassword" -}}
{{- $root := index . 0 -}}
{{- $values := index . 2 -}}
secretKeyRef:
  name: {{ $values.existingSecret | default (include "common.name" (list $root (index . 1))) }}
  key: password
{{- end -}}

{{/* Where the database is, as YAML (host, port, database, user): (list $ "component" values "database") */}}
{{- define "common.database" -}}
{{- $values := index . 2 -}}
{{- if $values.external.host -}}
{{- pick $values.external "host" "port" "database" "user" | toYaml -}}
{{- else -}}
{{- dict "host" (include "common.name" (list (index . 0) (index . 1))) "port" 5432 "database" (index . 3) "user" (index . 3) | toYaml -}}
{{- end -}}
{{- end -}}

{{/* `host:port` of the database: as common.database */}}
{{- define "common.databaseAddress" -}}
{{- $database := include "common.database" . | fromYaml -}}
{{ $database.host }}:{{ $database.port }}
{{- end -}}

{{/*
Environment of libpq, which psycopg, asyncpg and PostgreSQL's own programs read alike: (list $ "component" values). So the
password is in no URL, where some characters would have to be written otherwise.
Source: https://www.postgresql.org/docs/15/libpq-envars.html
*/}}
{{- define "common.postgresEnv" -}}
{{- $external := (index . 2).external -}}
- name: PGPASSWORD
  valueFrom: {{- include "common.postgresPassword" . | nindent 4 }}
{{- if $external.host }}
- {name: PGSSLMODE, value: {{ $external.sslmode }}}
{{- if $external.caSecret }}
- {name: PGSSLROOTCERT, value: {{ include "common.postgresCa" . }}}
{{- end }}
{{- end }}
{{- end -}}

{{- define "common.postgresCa" -}}/etc/postgres-ca/ca.crt{{- end -}}

{{/* volumeMounts and volumes entries for the CA of a database of one's own: (list $ "component" values) */}}
{{- define "common.postgresMount" -}}
{{- with (index . 2).external.caSecret }}
- {name: postgres-ca, mountPath: /etc/postgres-ca, readOnly: true}
{{- end }}
{{- end -}}

{{- define "common.postgresVolume" -}}
{{- with (index . 2).external.caSecret }}
- {name: postgres-ca, secret: {secretName: {{ . }}, items: [{key: ca.crt, path: ca.crt}]}}
{{- end }}
{{- end -}}

{{/*
The CronJob <release>-<component>-backup and its volume: as common.postgres. A dump has its name when it is whole, the newest
`backup.keep` stay. With RESTORE, the name of a dump, a Job made from it puts that back (docs/kubernetes.md, Backups).
*/}}
{{- define "common.postgresBackup" -}}
{{- $root := index . 0 -}}
{{- $values := index . 2 -}}
{{- $component := printf "%s-backup" (index . 1) -}}
{{- $database := include "common.database" . | fromYaml -}}
{{- $pod := dict "image" $values.image "resources" $values.backup.resources -}}
{{ include "common.serviceAccount" (list $root $component) }}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  {{- include "common.metadata" (list $root $component) | nindent 2 }}
  annotations:
    helm.sh/resource-policy: keep
spec:
  accessModes: [ReadWriteOnce]
  {{- with include "common.storageClass" (list $root $values.backup.persistence) }}
  storageClassName: {{ . }}
  {{- end }}
  resources:
    requests:
      storage: {{ $values.backup.persistence.size }}
---
apiVersion: batch/v1
kind: CronJob
metadata:
  {{- include "common.metadata" (list $root $component) | nindent 2 }}
spec:
  schedule: {{ $values.backup.schedule | quote }}
  timeZone: Etc/UTC
  # Each removes what one before left unfinished.
  concurrencyPolicy: Forbid
  successfulJobsHistoryLimit: 1
  failedJobsHistoryLimit: 3
  jobTemplate:
    spec:
      backoffLimit: 3
      template:
        metadata:
          {{- include "common.podMetadata" (list $root $component $values) | nindent 10 }}
        spec:
          {{- include "common.podSpec" (list $root $component $values) | nindent 10 }}
          restartPolicy: Never
          containers:
            - {{- include "common.container" (list $root "backup" $pod) | nindent 14 }}
              command:
                - bash
                - -euc
                - |
                  if [ -n "${RESTORE:-}" ]; then
                    exec pg_restore --exit-on-error --single-transaction --clean --if-exists --no-owner --dbname "$PGDATABASE" "/backups/$RESTORE"
                  fi
                  name=$PGDATABASE-$(date -u +%Y%m%dT%H%M%SZ).dump
                  rm -f /backups/*.partial
                  pg_dump --format custom --file "/backups/$name.partial"
                  pg_restore --list "/backups/$name.partial" > /dev/null
                  sync "/backups/$name.partial"
                  mv "/backups/$name.partial" "/backups/$name"
                  ls /backups/*.dump | sort | head -n "-$KEEP" | xargs -r rm
                  ls -l /backups
              env:
                - {name: PGHOST, value: {{ $database.host }}}
                - {name: PGPORT, value: {{ $database.port | quote }}}
                - {name: PGUSER, value: {{ $database.user }}}
                - {name: PGDATABASE, value: {{ $database.database }}}
                - {name: KEEP, value: {{ $values.backup.keep | quote }}}
                {{- include "common.postgresEnv" (list $root (index . 1) $values) | nindent 16 }}
              volumeMounts:
                - {name: backups, mountPath: /backups}
                - {name: tmp, mountPath: /tmp}
                {{- include "common.postgresMount" (list $root (index . 1) $values) | nindent 16 }}
          volumes:
            - {name: backups, persistentVolumeClaim: {claimName: {{ include "common.name" (list $root $component) }}}}
            - {name: tmp, emptyDir: {}}
            {{- include "common.postgresVolume" (list $root (index . 1) $values) | nindent 12 }}
{{- end -}}
