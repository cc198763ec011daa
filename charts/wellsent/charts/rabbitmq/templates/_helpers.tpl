{{/* The name of the application, in labels and names. */}}
{{- define "rabbitmq.name" -}}
{{- .Values.nameOverride | default "rabbitmq" -}}
{{- end -}}

{{/* `<release>-rabbitmq`, never shortened, so that releases whose names begin alike do not get the same name. */}}
{{- define "rabbitmq.fullname" -}}
{{- $name := .Values.fullnameOverride | default (printf "%s-%s" .Release.Name (include "rabbitmq.name" .)) -}}
{{- if gt (len $name) 52 -}}
{{- fail (printf "rabbitmq: the name %q has more than 52 characters, the most a StatefulSet's pods can carry in a label; take a shorter release name or fullnameOverride" $name) -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{/* The headless Service, which gives the nodes their names. */}}
{{- define "rabbitmq.headless" -}}
{{- include "rabbitmq.fullname" . }}-nodes
{{- end -}}

{{/* The labels of every object, but of no pod template. */}}
{{- define "rabbitmq.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .Values.image.tag | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: wellsent
{{ include "rabbitmq.selectorLabels" . }}
{{- end -}}

{{/* The labels that select pods. They cannot be changed in a StatefulSet, so none depends on a version. */}}
{{- define "rabbitmq.selectorLabels" -}}
app.kubernetes.io/name: {{ include "rabbitmq.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* The labels of the brokers and not of the Job. */}}
{{- define "rabbitmq.brokerLabels" -}}
{{ include "rabbitmq.selectorLabels" . }}
app.kubernetes.io/component: broker
{{- end -}}

{{- define "rabbitmq.image" -}}
{{- $registry := dig "imageRegistry" "" (.Values.global | default dict) | default .Values.image.registry -}}
{{- $repository := ternary .Values.image.repository (printf "%s/%s" $registry .Values.image.repository) (empty $registry) -}}
{{- /* The tag is kept with a digest, because it tells the version. */ -}}
{{- printf "%s:%s" $repository .Values.image.tag -}}
{{- with .Values.image.digest }}@{{ . }}{{ end -}}
{{- end -}}

{{- define "rabbitmq.imagePullSecrets" -}}
{{- $names := concat (dig "imagePullSecrets" list (.Values.global | default dict)) .Values.imagePullSecrets -}}
{{- range $names | uniq }}
- name: {{ . }}
{{- end }}
{{- end -}}

{{- define "rabbitmq.secretName" -}}
{{- .Values.auth.existingSecret | default (include "rabbitmq.fullname" .) -}}
{{- end -}}

{{/* "true" or empty: whether clients connect by TLS. */}}
{{- define "rabbitmq.tls" -}}
{{- if or .Values.tls.enabled (dig "rabbitmq" "tls" "enabled" false (.Values.global | default dict)) }}true{{ end -}}
{{- end -}}

{{/* "true" or empty: whether secrets may be generated. */}}
{{- define "rabbitmq.generate" -}}
{{- if and .Values.auth.generate (dig "generateSecrets" true (.Values.global | default dict)) }}true{{ end -}}
{{- end -}}

{{/* Seconds that a stopping node is given. A single one has no others to wait for. */}}
{{- define "rabbitmq.graceSeconds" -}}
{{- .Values.terminationGracePeriodSeconds | default (ternary 660 120 (gt (int .Values.replicaCount) 1)) | int -}}
{{- end -}}

{{/* "true" or empty: whether there is a NetworkPolicy. */}}
{{- define "rabbitmq.networkPolicy" -}}
{{- if and .Values.networkPolicy.enabled (dig "networkPolicy" "enabled" true (.Values.global | default dict)) }}true{{ end -}}
{{- end -}}

{{- define "rabbitmq.tlsSecretName" -}}
{{- .Values.tls.existingSecret | default (printf "%s-tls" (include "rabbitmq.fullname" .)) -}}
{{- end -}}

{{- define "rabbitmq.amqpPort" -}}
{{- if include "rabbitmq.tls" . }}5671{{ else }}5672{{ end -}}
{{- end -}}

{{/* A node's Erlang name by its ordinal: (list . 0). */}}
{{- define "rabbitmq.node" -}}
{{- $top := first . -}}
rabbit@{{ include "rabbitmq.fullname" $top }}-{{ last . }}.{{ include "rabbitmq.headless" $top }}.{{ $top.Release.Namespace }}
{{- end -}}

{{/* A Kubernetes quantity in bytes. The broker's own parser knows no decimals, and reads an invalid value as "no limit". */}}
{{- define "rabbitmq.bytes" -}}
{{- /* A number in a values file is a float: 1073741824 would be printed as 1.073741824e+09. */ -}}
{{- $text := ternary . (int64 . | toString) (kindIs "string" .) -}}
{{- $unit := regexFind "[A-Za-z]*$" $text -}}
{{- $factors := dict "" 1 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- if or (not (hasKey $factors $unit)) (not (regexMatch "^[0-9]+(\\.[0-9]+)?[A-Za-z]*$" $text)) -}}
{{- fail (printf "rabbitmq: %q is no quantity of bytes that the chart can reckon with; write it like 1536Mi" $text) -}}
{{- end -}}
{{- mulf (float64 (trimSuffix $unit $text)) (float64 (get $factors $unit)) | int64 -}}
{{- end -}}

{{/* The memory that the broker may use: the limit less a fifth, at most 2 GiB, for memory that the broker does not count. */}}
{{- define "rabbitmq.memoryBytes" -}}
{{- $limit := include "rabbitmq.bytes" .Values.resources.limits.memory | int64 -}}
{{- sub $limit (min (div $limit 5) 2147483648) -}}
{{- end -}}

{{/* The data of an existing Secret, or nothing: (list . "name"). Empty without a cluster, as in helm template. */}}
{{- define "rabbitmq.liveSecret" -}}
{{- $top := first . -}}
{{- (lookup "v1" "Secret" $top.Release.Namespace (last .)).data | default dict | toJson -}}
{{- end -}}
