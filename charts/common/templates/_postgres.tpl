{{/*
A PostgreSQL of one database: (list $ "component" values "database"). Makes the ServiceAccount, Service, StatefulSet and,
unless `values.existingSecret` names one with a key `password`, the Secret <release>-<component>. User and database have
the same name. `values`: image, resources, persistence, existingSecret, and the scheduling values.
*/}}
{{- define "common.postgres" -}}
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
