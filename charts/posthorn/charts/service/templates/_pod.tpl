{{/* The pod template of either kind of workload. Configuration stands in it, so that a change rolls these pods and no others. */}}
{{- define "service.pod" -}}
{{- $secrets := merge (dict "AMQP_URL" (dict "secret" (include "service.brokerSecret" .) "key" "uri")) .Values.secretFiles }}
metadata:
  labels:
    {{- include "service.selectorLabels" . | nindent 4 }}
    app.kubernetes.io/part-of: posthorn
    posthorn.io/broker-client: "true"
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- $broker := dig "rabbitmq" "url" "" (.Values.global | default dict) }}
  {{- if or $broker .Values.podAnnotations }}
  annotations:
    {{- with $broker }}
    checksum/broker: {{ sha256sum . | trunc 8 | quote }}
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
        - {name: SHUTDOWN_DEADLINE_MS, value: "{{ mul .Values.shutdownDeadlineSeconds 1000 }}"}
        {{- with dig "articleExchange" "" (.Values.global | default dict) }}
        - {name: ARTICLE_EXCHANGE, value: {{ . | quote }}}
        {{- end }}
        {{- if include "service.caSecret" . }}
        - {name: NODE_EXTRA_CA_CERTS, value: /run/secrets/posthorn/ca.crt}
        {{- end }}
        {{- range $name := keys $secrets | sortAlpha }}
        - {name: {{ $name }}_FILE, value: /run/secrets/posthorn/{{ $name }}}
        {{- end }}
        {{- range $name, $value := .Values.env }}
        {{- with tpl (toString $value) $ }}
        - {name: {{ $name }}, value: {{ . | quote }}}
        {{- end }}
        {{- end }}
      ports:
        - {name: metrics, containerPort: 9464}
        {{- range $name, $port := .Values.ports }}
        - {name: {{ $name }}, containerPort: {{ $port }}}
        {{- end }}
      # No probe asks the broker, a relay or a disk: their outage restarts nothing.
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
        - {name: secrets, mountPath: /run/secrets/posthorn, readOnly: true}
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
    {{- end }}
    {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
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
