{{/* The settings of every container. */}}
{{- define "rabbitmq.container" -}}
image: {{ include "rabbitmq.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- toYaml .Values.containerSecurityContext | nindent 2 }}
{{- end -}}

{{/* A script of files/ as a command, (list . "name"). It is in the pod and not in the ConfigMap, because a pod of the previous revision that
restarts during an upgrade must run its own script. */}}
{{- define "rabbitmq.script" -}}
- bash
- -c
- |
  {{- (first .).Files.Get (printf "files/%s" (last .)) | nindent 2 }}
{{- end -}}

{{/* The environment with the node's name. It is the same with one node as with five, because the data directory is named after it. */}}
{{- define "rabbitmq.nodeEnv" -}}
- name: POD_NAME
  valueFrom:
    fieldRef: {fieldPath: metadata.name}
- {name: RABBITMQ_USE_LONGNAME, value: "true"}
- {name: RABBITMQ_NODENAME, value: "rabbit@$(POD_NAME).{{ include "rabbitmq.headless" . }}.{{ .Release.Namespace }}"}
- {name: REPLICAS, value: {{ .Values.replicaCount | quote }}}
{{- end -}}

{{/* Requests as much memory as the limit, because the broker uses all of it. */}}
{{- define "rabbitmq.resources" -}}
{{- $requests := dict "memory" .Values.resources.limits.memory -}}
{{- mergeOverwrite (dict "requests" $requests) .Values.resources | toYaml -}}
{{- end -}}

{{- define "rabbitmq.affinity" -}}
podAntiAffinity:
  {{- if eq .Values.antiAffinity "required" }}
  requiredDuringSchedulingIgnoredDuringExecution:
    - topologyKey: kubernetes.io/hostname
      labelSelector:
        matchLabels:
          {{- include "rabbitmq.brokerLabels" . | nindent 10 }}
  {{- else }}
  preferredDuringSchedulingIgnoredDuringExecution:
    - weight: 100
      podAffinityTerm:
        topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels:
            {{- include "rabbitmq.brokerLabels" . | nindent 12 }}
  {{- end }}
{{- end -}}

{{- define "rabbitmq.spread" -}}
{{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
- topologyKey: {{ $key }}
  maxSkew: 1
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "rabbitmq.brokerLabels" $ | nindent 6 }}
{{- end }}
{{- end -}}
