{{/* The pod template of a Deployment or StatefulSet. It contains the configuration, so that a change rolls these pods and no others. */}}
{{- define "service.pod" -}}
{{- $secrets := merge (dict) .Values.secretFiles (dict "AMQP_URL" (dict "secret" (include "service.brokerSecret" .) "key" (include "service.brokerSecretKey" .))) }}
metadata:
  labels:
    {{- include "service.selectorLabels" . | nindent 4 }}
    app.kubernetes.io/part-of: wellsent
    wellsent.io/broker-client: "true"
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- $broker := dig "rabbitmq" "url" "" (.Values.global | default dict) }}
  {{- if or $broker .Values.podAnnotations }}
  annotations:
    {{- with $broker }}
    # Another broker needs other pods. User and password are left out of the sum: it could be guessed, and they are read again
    # with each connection.
    checksum/broker: {{ regexReplaceAll "://[^/?#]*@" . "://" | sha256sum | trunc 8 | quote }}
    {{- end }}
    {{- range $name, $value := .Values.podAnnotations }}
    {{ $name }}: {{ tpl $value $ | quote }}
    {{- end }}
  {{- end }}
spec:
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ add .Values.preStopSleepSeconds .Values.shutdownDeadlineSeconds 5 }}
  securityContext:
    {{- toYaml .Values.podSecurityContext | nindent 4 }}
  {{- with dig "imagePullSecrets" list (.Values.global | default dict) }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  containers:
    - name: {{ .Chart.Name }}
      image: {{ include "service.image" . }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      securityContext:
        {{- toYaml .Values.containerSecurityContext | nindent 8 }}
      env:
        {{- range $name, $value := include "service.env" (list . $secrets) | fromJson }}
        {{- with $value }}
        - {name: {{ $name }}, value: {{ . | quote }}}
        {{- end }}
        {{- end }}
      ports:
        - {name: metrics, containerPort: 9464}
        {{- range $name, $port := .Values.ports }}
        - {name: {{ $name }}, containerPort: {{ $port }}}
        {{- end }}
      # No probe asks the broker, a relay or a disk, so their outage restarts no pod.
      startupProbe:
        httpGet: {path: /healthz, port: metrics}
        periodSeconds: 1
        failureThreshold: {{ .Values.startupSeconds }}
      livenessProbe:
        httpGet: {path: /healthz, port: metrics}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet: {path: /readyz, port: metrics}
        periodSeconds: 3
        timeoutSeconds: 3
      {{- with .Values.preStopSleepSeconds }}
      lifecycle:
        preStop:
          sleep: {seconds: {{ . }}}
      {{- end }}
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      volumeMounts:
        - {name: secrets, mountPath: /run/secrets/wellsent, readOnly: true}
        {{- if .Values.persistence.enabled }}
        - {name: data, mountPath: {{ .Values.persistence.path }}}
        {{- end }}
        {{- with .Values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: secrets
      projected:
        sources:
          {{- range $name := keys $secrets | sortAlpha }}
          {{- $from := get $secrets $name }}
          - secret:
              name: {{ tpl $from.secret $ }}
              items: [{key: {{ $from.key }}, path: {{ $name }}}]
          {{- end }}
          {{- with include "service.caSecret" . }}
          - secret:
              name: {{ . }}
              items: [{key: ca.crt, path: ca.crt}]
          {{- end }}
    {{- with .Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  topologySpreadConstraints:
    {{- if .Values.topologySpreadConstraints }}
    {{- toYaml .Values.topologySpreadConstraints | nindent 4 }}
    {{- else }}
    {{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
    - topologyKey: {{ $key }}
      maxSkew: 1
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "service.selectorLabels" $ | nindent 10 }}
      {{- if eq $.Values.kind "Deployment" }}
      # Pods of the revision that is being replaced do not count, so the new pods are spread evenly among themselves.
      matchLabelKeys: [pod-template-hash]
      {{- end }}
    {{- end }}
    {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with include "service.tolerations" . | fromYamlArray }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
{{- end -}}

{{/* The environment in JSON: the chart's own variables, then `env`. The API server refuses a name that is there twice. */}}
{{- define "service.env" -}}
{{- $top := first . -}}
{{- $own := dict "METRICS_PORT" "9464" "SHUTDOWN_DEADLINE_MS" (mul $top.Values.shutdownDeadlineSeconds 1000 | toString) -}}
{{- range $name, $port := $top.Values.ports -}}
{{- $_ := set $own (printf "%s_PORT" (upper $name)) (int $port | toString) -}}
{{- end -}}
{{- range $name := keys (last .) -}}
{{- $_ := set $own (printf "%s_FILE" $name) (printf "/run/secrets/wellsent/%s" $name) -}}
{{- end -}}
{{- with dig "articleExchange" "" ($top.Values.global | default dict) -}}
{{- $_ := set $own "ARTICLE_EXCHANGE" . -}}
{{- end -}}
{{- if include "service.caSecret" $top -}}
{{- $_ := set $own "NODE_EXTRA_CA_CERTS" "/run/secrets/wellsent/ca.crt" -}}
{{- end -}}
{{- $env := dict -}}
{{- range $name, $value := $top.Values.env -}}
{{- if hasKey $own $name -}}
{{- fail (printf "%s.env.%s: the chart sets it by another value" $top.Chart.Name $name) -}}
{{- end -}}
{{- /* A number in a values file is a float: 1000000 would be printed as 1e+06. */ -}}
{{- $_ := set $env $name (tpl (ternary $value (toJson $value) (kindIs "string" $value)) $top) -}}
{{- end -}}
{{- merge $own $env | toJson -}}
{{- end -}}
