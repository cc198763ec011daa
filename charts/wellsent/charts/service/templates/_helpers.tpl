{{/* `<release>-<alias>`, never shortened, so that releases whose names begin alike do not get the same name. */}}
{{- define "service.fullname" -}}
{{- $name := printf "%s-%s" .Release.Name .Chart.Name -}}
{{- if gt (len $name) 52 -}}
{{- fail (printf "the name %q has more than 52 characters, the most a StatefulSet's pods can carry in a label; take a shorter release name" $name) -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{/* The labels of every object, but of no selector. */}}
{{- define "service.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | regexFind "[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?" | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: wellsent
{{ include "service.selectorLabels" . }}
{{- end -}}

{{/* The labels that select pods. They cannot be changed in a workload, so none depends on a version. */}}
{{- define "service.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "service.image" -}}
{{- $registry := dig "imageRegistry" "" (.Values.global | default dict) | default .Values.image.registry -}}
{{- $repository := ternary .Values.image.repository (printf "%s/%s" $registry .Values.image.repository) (empty $registry) -}}
{{- if and .Values.image.digest .Values.image.tag -}}
{{- printf "%s:%s@%s" $repository .Values.image.tag .Values.image.digest -}}
{{- else if .Values.image.digest -}}
{{- printf "%s@%s" $repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* The largest number of pods there can be. Limits for all of them together are divided by it. */}}
{{- define "service.maxReplicas" -}}
{{- if .Values.keda.enabled }}{{ int .Values.keda.maxReplicas }}
{{- else if .Values.autoscaling.enabled }}{{ int .Values.autoscaling.maxReplicas }}
{{- else }}{{ max 1 .Values.replicaCount }}{{ end -}}
{{- end -}}

{{/* "true" or empty: whether the broker is reached by TLS, by the value or by an external broker's URL. */}}
{{- define "service.rabbitmqTls" -}}
{{- $broker := dig "rabbitmq" dict (.Values.global | default dict) -}}
{{- if or (dig "tls" "enabled" false $broker) (hasPrefix "amqps:" (dig "url" "" $broker)) }}true{{ end -}}
{{- end -}}

{{/* "true" or empty: whether the broker belongs to this release. */}}
{{- define "service.ownBroker" -}}
{{- $broker := dig "rabbitmq" dict (.Values.global | default dict) -}}
{{- if not (or $broker.url $broker.existingSecret) }}true{{ end -}}
{{- end -}}

{{/* The pods' tolerations: those of the values, and how long a pod of a Deployment stays bound to a node that is lost. */}}
{{- define "service.tolerations" -}}
{{- $tolerations := .Values.tolerations -}}
{{- if eq .Values.kind "Deployment" -}}
{{- range $taint := list "not-ready" "unreachable" -}}
{{- $tolerations = append $tolerations (dict "key" (printf "node.kubernetes.io/%s" $taint) "operator" "Exists" "effect" "NoExecute" "tolerationSeconds" (int $.Values.nodeLossSeconds)) -}}
{{- end -}}
{{- end -}}
{{- toYaml $tolerations -}}
{{- end -}}

{{/* The key of that Secret which holds the broker's URL. Only an existing Secret may have another key than `uri`. */}}
{{- define "service.brokerSecretKey" -}}
{{- $broker := dig "rabbitmq" dict (.Values.global | default dict) -}}
{{- if $broker.existingSecret }}{{ $broker.existingSecretKey | default "uri" }}{{ else }}uri{{ end -}}
{{- end -}}

{{/* The Secret that holds the broker's URL: an existing one, the one made from a given URL, or that of the release's own broker. */}}
{{- define "service.brokerSecret" -}}
{{- $broker := dig "rabbitmq" dict (.Values.global | default dict) -}}
{{- $made := ternary "broker" "rabbitmq" (not (empty $broker.url)) -}}
{{- $broker.existingSecret | default (printf "%s-%s" .Release.Name $made) -}}
{{- end -}}

{{/* The port of an external broker: by its value, by its URL, or the usual one. */}}
{{- define "service.brokerPort" -}}
{{- $broker := dig "rabbitmq" dict (.Values.global | default dict) -}}
{{- $authority := regexFind "^amqps?://[^/?#]*" (dig "url" "" $broker) -}}
{{- $port := regexFind ":[0-9]+$" $authority | trimPrefix ":" | int -}}
{{- dig "port" 0 $broker | default $port | default (ternary 5671 5672 (not (empty (include "service.rabbitmqTls" .)))) -}}
{{- end -}}

{{/* The Secret whose ca.crt the broker's certificate is checked against, or nothing. */}}
{{- define "service.caSecret" -}}
{{- if include "service.rabbitmqTls" . -}}
{{- $own := ternary (printf "%s-rabbitmq-tls" .Release.Name) "" (not (empty (include "service.ownBroker" .))) -}}
{{- dig "rabbitmq" "tls" "caSecret" "" (.Values.global | default dict) | default $own -}}
{{- end -}}
{{- end -}}
