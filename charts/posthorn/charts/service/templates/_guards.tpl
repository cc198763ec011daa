{{/* Values that contradict each other; no schema can say it. */}}
{{- define "service.guards" -}}
{{- $name := .Chart.Name -}}
{{- if not .Values.image.repository -}}
{{- fail (printf "%s.image.repository is required" $name) -}}
{{- end -}}
{{- if and (or .Values.ingress.enabled .Values.httpRoute.enabled) (not .Values.ports.http) -}}
{{- fail (printf "%s.ingress and %s.httpRoute need a port `http` in %s.ports" $name $name $name) -}}
{{- end -}}
{{- if and .Values.persistence.enabled (ne .Values.kind "StatefulSet") -}}
{{- fail (printf "%s.persistence.enabled needs %s.kind=StatefulSet" $name $name) -}}
{{- end -}}
{{- range $scaler := list "autoscaling" "keda" -}}
{{- with index $.Values $scaler -}}
{{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) -}}
{{- fail (printf "%s.%s.minReplicas is more than its maxReplicas" $name $scaler) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
