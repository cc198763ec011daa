{{/* The data of the ConfigMap. The pods have its checksum as an annotation. */}}
{{- define "rabbitmq.configuration" -}}
enabled_plugins: |
  [{{ concat (list "rabbitmq_management" "rabbitmq_prometheus" "rabbitmq_peer_discovery_k8s") .Values.extraPlugins | uniq | join "," }}].
10-chart.conf: |
  {{- include "rabbitmq.chartConf" . | nindent 2 }}
90-user.conf: |
  {{- .Values.extraConfiguration | nindent 2 }}
{{- end -}}

{{- define "rabbitmq.chartConf" -}}
cluster_name = {{ .Release.Namespace }}/{{ include "rabbitmq.fullname" . }}
log.console = true
log.console.formatter = {{ ternary "json" "plaintext" (eq .Values.logFormat "json") }}
log.file = false

# RabbitMQ 4 also has ANONYMOUS by default.
auth_mechanisms.1 = PLAIN
auth_mechanisms.2 = AMQPLAIN
default_queue_type = quorum
# Seconds; the smaller of this and the client's value is used. A client notices after two of them that its node is cut off.
heartbeat = 10

# The broker reads the machine's memory, not the container's limit of {{ .Values.resources.limits.memory }}.
total_memory_available_override_value = {{ include "rabbitmq.memoryBytes" . }}
# Quorum queues keep up to three times this in memory until it is written to segments. The default of 512 MiB is more than this container
# can spare. raft.wal_max_size_bytes has no effect on 4.3.
quorum_queue.wal_max_size_bytes = {{ div (include "rabbitmq.memoryBytes" . | int64) 16 | min 536870912 }}
disk_free_limit.absolute = {{ div (include "rabbitmq.bytes" .Values.persistence.size | int64) 10 | min 2147483648 }}

cluster_formation.peer_discovery_backend = k8s
cluster_formation.target_cluster_size_hint = {{ .Values.replicaCount }}
# At least three, even with one node: then its queues grow as soon as others join, before this node restarts.
quorum_queue.continuous_membership_reconciliation.enabled = true
quorum_queue.continuous_membership_reconciliation.target_group_size = {{ max 3 (int .Values.replicaCount) }}
{{- if include "rabbitmq.tls" . }}

listeners.tcp = none
listeners.ssl.default = 5671
ssl_options.cacertfile = /tls/ca.crt
ssl_options.certfile = /tls/tls.crt
ssl_options.keyfile = /tls/tls.key
ssl_options.verify = verify_none
ssl_options.versions.1 = tlsv1.3
ssl_options.versions.2 = tlsv1.2
{{- end }}

{{- if .Values.definitions.existingSecret }}

definitions.import_backend = local_filesystem
definitions.local.path = /definitions/definitions.json
definitions.skip_if_unchanged = true
{{- end }}
{{- end -}}
