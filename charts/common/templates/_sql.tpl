{{/*
What a client of the SQL endpoint needs where `global.sql.tls.enabled` is set; nothing renders anything otherwise. The
certificate's Secret has what cert-manager writes, `ca.crt` with it, which clients trust; the login's has `username` and
`password`.
*/}}

{{/* "true", or empty */}}
{{- define "common.sqlSecured" -}}
{{- if dig "sql" "tls" "enabled" false (.Values.global | default dict) }}true{{ end -}}
{{- end -}}

{{/* How clients log in; refuses what would make a login no login. */}}
{{- define "common.sqlAuth" -}}
{{- $login := dig "sql" "login" dict (.Values.global | default dict) -}}
{{- if $login.ldapUrl -}}
{{- if not (include "common.sqlSecured" .) -}}
{{- fail "global.sql.login.ldapUrl asks for passwords, and they would be sent in the open: set global.sql.tls.enabled" -}}
{{- end -}}
{{- if not (and $login.userDNPattern $login.secret) -}}
{{- fail "global.sql.login.ldapUrl is set: set global.sql.login.userDNPattern, who may log in, and global.sql.login.secret, as whom the platform does" -}}
{{- end -}}
{{- range splitList ":" $login.userDNPattern -}}
{{- if not (regexMatch "^[^=,]+=[^,]*%s[^,]*,.*=" .) -}}
{{- fail (printf "global.sql.login.userDNPattern: %q is not a name such as uid=%%s,ou=people,dc=example,dc=com, with %%s for the user" .) -}}
{{- end -}}
{{- end -}}
LDAP
{{- else -}}
NOSASL
{{- end -}}
{{- end -}}

{{/* The Secret with the server's certificate and its CA's. */}}
{{- define "common.sqlTlsSecret" -}}
{{- dig "sql" "tls" "secret" "" (.Values.global | default dict) | default (include "common.name" (list . "sql-tls")) -}}
{{- end -}}

{{/* The Secret with which the platform logs in; empty where nobody is asked. */}}
{{- define "common.sqlLoginSecret" -}}
{{- if eq (include "common.sqlAuth" .) "LDAP" }}{{ .Values.global.sql.login.secret }}{{ end -}}
{{- end -}}

{{/* env entry: $ */}}
{{- define "common.sqlEnv" -}}
{{- if include "common.sqlSecured" . }}
- {name: ECOMMERCE_SQL_CREDENTIALS, value: /etc/sql-client}
{{- end }}
{{- end -}}

{{/* volumeMounts entry: $ */}}
{{- define "common.sqlMount" -}}
{{- if include "common.sqlSecured" . }}
- {name: sql-client, mountPath: /etc/sql-client, readOnly: true}
{{- end }}
{{- end -}}

{{/* volumes entry: $ */}}
{{- define "common.sqlVolume" -}}
{{- if include "common.sqlSecured" . }}
- name: sql-client
  projected:
    defaultMode: 0440
    sources:
      - secret: {name: {{ include "common.sqlTlsSecret" . }}, items: [{key: ca.crt, path: ca.crt}]}
      {{- with include "common.sqlLoginSecret" . }}
      - secret: {name: {{ . }}, items: [{key: username, path: username}, {key: password, path: password}]}
      {{- end }}
{{- end }}
{{- end -}}
