{{/* What the services could not find their broker by, refused here: they see what is global, not what the broker is given. */}}
{{- define "posthorn.brokerGuards" -}}
{{- $broker := .Values.global.rabbitmq -}}
{{- if and (not .Values.rabbitmq.enabled) (not (or $broker.url $broker.existingSecret)) -}}
{{- fail "posthorn: with rabbitmq.enabled=false, global.rabbitmq.url has to be the broker's URL, or global.rabbitmq.existingSecret to name a Secret whose key `uri` it is" -}}
{{- end -}}
{{- if and $broker.url (or .Values.rabbitmq.enabled $broker.existingSecret) -}}
{{- fail "posthorn: global.rabbitmq.url goes with rabbitmq.enabled=false, and without global.rabbitmq.existingSecret" -}}
{{- end -}}
{{- if .Values.rabbitmq.enabled -}}
{{- include "posthorn.ownBrokerGuards" . -}}
{{- end -}}
{{- end -}}

{{- define "posthorn.ownBrokerGuards" -}}
{{- $broker := .Values.global.rabbitmq -}}
{{- $own := .Values.rabbitmq -}}
{{- if or $own.nameOverride $own.fullnameOverride -}}
{{- fail (printf "posthorn: the services look for their broker as %s-rabbitmq; rabbitmq.nameOverride and rabbitmq.fullnameOverride are for the chart alone" .Release.Name) -}}
{{- end -}}
{{- if ne (empty $own.auth.existingSecret) (empty $broker.existingSecret) -}}
{{- fail "posthorn: rabbitmq.auth.existingSecret is for the broker and global.rabbitmq.existingSecret for the services, which need its key `uri`: set both; or rabbitmq.enabled=false, if the broker is another" -}}
{{- end -}}
{{- if and $own.tls.enabled (not $broker.tls.enabled) -}}
{{- fail "posthorn: set global.rabbitmq.tls.enabled instead of rabbitmq.tls.enabled: the services have to know" -}}
{{- end -}}
{{- if and $broker.tls.enabled (or $own.tls.existingSecret $broker.existingSecret) (not $broker.tls.caSecret) -}}
{{- fail (printf "posthorn: the services have to know whom to trust: set global.rabbitmq.tls.caSecret=%s" ($own.tls.existingSecret | default (printf "%s-rabbitmq-tls" .Release.Name))) -}}
{{- end -}}
{{- end -}}
