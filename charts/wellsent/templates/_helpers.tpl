{{- define "wellsent.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: wellsent
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* "true" or empty: whether an inbox is installed, because no relay is set. */}}
{{- define "wellsent.inbox" -}}
{{- if not (or .Values.global.relay.urls .Values.global.relay.existingSecret) }}true{{ end -}}
{{- end -}}

{{/* The ports of relays outside of the release: a list in JSON. */}}
{{- define "wellsent.relayPorts" -}}
{{- $ports := list -}}
{{- if not (include "wellsent.inbox" .) -}}
{{- range .Values.global.relay.ports -}}{{- $ports = append $ports (int .) -}}{{- end -}}
{{- range regexFindAll ":[0-9]+([/?,]|$)" (.Values.global.relay.urls | default "") -1 -}}
{{- $ports = append $ports (regexFind "[0-9]+" . | int) -}}
{{- end -}}
{{- end -}}
{{- $ports | uniq | toJson -}}
{{- end -}}

{{/* The value of a key in an existing Secret, or nothing: (list . "secret" "key"). Empty without a cluster, as in helm template. */}}
{{- define "wellsent.live" -}}
{{- $data := (lookup "v1" "Secret" (index . 0).Release.Namespace (index . 1)).data | default dict -}}
{{- dig (index . 2) "" $data | b64dec -}}
{{- end -}}

{{/* A secret of the release, by (list . "name" "key" "value"): the one that is kept, otherwise a generated one. `value` is the setting that
names a Secret instead. */}}
{{- define "wellsent.secret" -}}
{{- $top := first . -}}
{{- $live := include "wellsent.live" (list $top (index . 1) (index . 2)) -}}
{{- if not (or $live (and $top.Values.global.generateSecrets (dig "auth" "generate" true $top.Values.rabbitmq))) -}}
{{- fail (printf "wellsent: global.generateSecrets or rabbitmq.auth.generate is false; set %s to a Secret that exists" (last .)) -}}
{{- end -}}
{{- $live | default (randAlphaNum 40) -}}
{{- end -}}

{{/* The Secrets that values name and that are not there: a list in JSON. Nothing without a cluster to ask. */}}
{{- define "wellsent.missingSecrets" -}}
{{- $missing := list -}}
{{- $global := .Values.global -}}
{{- if hasKey (lookup "v1" "Secret" .Release.Namespace "") "items" -}}
{{- range $name := list $global.rabbitmq.existingSecret $global.rabbitmq.tls.caSecret $global.relay.existingSecret $global.apiKeys.existingSecret $global.internal.existingSecret | uniq | compact -}}
{{- if not (lookup "v1" "Secret" $.Release.Namespace $name) -}}{{- $missing = append $missing $name -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- $missing | toJson -}}
{{- end -}}

{{/* Keeps the Secret when the release is deleted, unless the record is deleted too. */}}
{{- define "wellsent.keep" -}}
{{- if eq (dig "persistence" "retentionPolicy" "whenDeleted" "Retain" .Values.logger) "Retain" }}
annotations:
  helm.sh/resource-policy: keep
{{- end }}
{{- end -}}

{{/* "true" or empty: whether all services that `helm test` asks are installed. */}}
{{- define "wellsent.smokeTest" -}}
{{- if and .Values.api.enabled .Values.emailer.enabled .Values.logger.enabled }}true{{ end -}}
{{- end -}}

{{/* The image by (list . .Values.<name>.image). An empty registry is left out. */}}
{{- define "wellsent.image" -}}
{{- $top := first . }}{{ $image := last . -}}
{{- $registry := $top.Values.global.imageRegistry | default $image.registry -}}
{{- $registry | empty | ternary "" (printf "%s/" $registry) }}{{ $image.repository }}
{{- if or $image.tag (not $image.digest) }}:{{ $image.tag | default $top.Chart.AppVersion }}{{ end }}
{{- with $image.digest }}@{{ . }}{{ end }}
{{- end -}}

{{- define "wellsent.pullSecrets" -}}
{{- with .Values.global.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "wellsent.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}
