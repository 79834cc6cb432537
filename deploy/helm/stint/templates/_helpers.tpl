{{- define "stint.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 52 characters: a StatefulSet adds its own to the names of what it makes. */}}
{{- define "stint.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains (include "stint.name" .) .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "stint.name" .) | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "stint.selector" -}}
app.kubernetes.io/name: {{ include "stint.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "stint.labels" -}}
{{ include "stint.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "stint.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "stint.scheme" -}}
{{ if .Values.tls.enabled }}HTTPS{{ else }}HTTP{{ end }}
{{- end -}}

{{/* What cannot work is refused here, with what to do. */}}
{{- define "stint.check" -}}
{{- $many := or .Values.autoscaling.enabled (gt (int .Values.replicas) 1) -}}
{{- if and $many (not (and .Values.database.url .Values.redis.url)) -}}
{{- fail "more than one node need database.url and redis.url: nodes share their directory and their session state" -}}
{{- end -}}
{{- if and (not .Values.persistence.enabled) (not .Values.database.url) -}}
{{- fail "without database.url the directory is on the volume: leave persistence.enabled true" -}}
{{- end -}}
{{- if and .Values.tls.enabled (not .Values.tls.secretName) -}}
{{- fail "tls.secretName names the Secret with the certificate; or say tls.enabled: false behind a proxy that terminates TLS" -}}
{{- end -}}
{{- end -}}

{{/* stint.yaml: what the chart knows goes over what config says. */}}
{{- define "stint.config" -}}
{{- $own := dict
  "listen" (dict "http" ":8470" "grpc" ":8471" "ops" ":8472")
  "master-key" "file:/etc/stint/master-key/master.key"
  "limits" (dict "drain-timeout" (printf "%ds" (int .Values.drainSeconds))) -}}
{{- if .Values.publicURL }}{{ $_ := set $own "public-url" .Values.publicURL }}{{ end -}}
{{- if .Values.trustedProxies }}{{ $_ := set $own "trusted-proxies" .Values.trustedProxies }}{{ end -}}
{{- if .Values.database.url }}{{ $_ := set $own "database" .Values.database.url }}{{ end -}}
{{- if .Values.database.passwordSecretName }}{{ $_ := set $own "database-password-file" "/etc/stint/database/password" }}{{ end -}}
{{- if .Values.redis.url }}{{ $_ := set $own "redis" .Values.redis.url }}{{ end -}}
{{- if .Values.redis.passwordSecretName }}{{ $_ := set $own "redis-password-file" "/etc/stint/redis/password" }}{{ end -}}
{{- if .Values.tls.enabled -}}
{{ $_ := set $own "tls" (dict "cert" "/etc/stint/tls/tls.crt" "key" "/etc/stint/tls/tls.key") }}
{{- else -}}
{{ $_ := set $own "insecure-http" true }}
{{- end -}}
{{ mustMergeOverwrite (deepCopy .Values.config) $own | toYaml }}
{{- end -}}
