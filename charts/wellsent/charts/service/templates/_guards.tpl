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
{{- if .Values.persistence.enabled -}}
{{- include "service.guardSize" (list . (lookup "apps/v1" "StatefulSet" .Release.Namespace (include "service.fullname" .))) -}}
{{- end -}}
{{- end -}}

{{/* Kubernetes refuses it as well, and names no value. Inert where there is no cluster to ask: helm template, GitOps. */}}
{{- define "service.guardSize" -}}
{{- $top := first . -}}
{{- $size := $top.Values.persistence.size -}}
{{- range dig "spec" "volumeClaimTemplates" list (last .) -}}
{{- $made := .spec.resources.requests.storage -}}
{{- if ne (include "service.bytes" $made) (include "service.bytes" $size) -}}
{{- fail (printf "%s.persistence.size is %s, and the volume was made with %s: a StatefulSet's volumes cannot be changed. docs/kubernetes.md says how to enlarge them." $top.Chart.Name $size $made) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A quantity in bytes: Kubernetes makes 10Gi of 10240Mi. */}}
{{- define "service.bytes" -}}
{{- $factors := dict "" 1 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- mulf (regexFind "^[0-9.]+" . | float64) (get $factors (regexFind "[A-Za-z]*$" .) | float64) | int64 -}}
{{- end -}}
