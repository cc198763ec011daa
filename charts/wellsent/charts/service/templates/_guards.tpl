{{/* Values that contradict each other, which a schema cannot express. */}}
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
{{- range $name, $from := .Values.secretFiles -}}
{{- include "service.guardKey" (list $ (tpl $from.secret $) $from.key) -}}
{{- end -}}
{{- if not (hasKey .Values.secretFiles "AMQP_URL") -}}
{{- include "service.guardKey" (list . (include "service.brokerSecret" .) (include "service.brokerSecretKey" .)) -}}
{{- end -}}
{{- with include "service.caSecret" . -}}
{{- include "service.guardKey" (list $ . "ca.crt") -}}
{{- end -}}
{{- if .Values.persistence.enabled -}}
{{- include "service.guardSize" (list . (lookup "apps/v1" "StatefulSet" .Release.Namespace (include "service.fullname" .))) -}}
{{- end -}}
{{- end -}}

{{/* Refuses another size of the volumes. Kubernetes refuses it too, but names no value. Without a cluster to ask it refuses nothing. */}}
{{- define "service.guardSize" -}}
{{- $top := first . -}}
{{- $size := $top.Values.persistence.size -}}
{{- range dig "spec" "volumeClaimTemplates" list (last .) -}}
{{- $made := .spec.resources.requests.storage -}}
{{- if ne (include "service.bytes" $made) (include "service.bytes" $size) -}}
{{- fail (printf "%s.persistence.size is %s, and the volume was made with %s: a StatefulSet's volumes cannot be changed. docs/kubernetes-operate.md says how to enlarge them." $top.Chart.Name $size $made) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A Secret that exists without the key that is read: (list . "secret" "key"). Its pods would wait in ContainerCreating. A Secret that
the release makes itself may get the key with this upgrade. Without a cluster to ask, nothing is known. */}}
{{- define "service.guardKey" -}}
{{- $top := first . -}}
{{- $live := lookup "v1" "Secret" $top.Release.Namespace (index . 1) -}}
{{- $own := eq (dig "metadata" "annotations" "meta.helm.sh/release-name" "" $live) $top.Release.Name -}}
{{- if and $live (not $own) (not (hasKey ($live.data | default dict) (last .))) -}}
{{- $other := ternary " Set global.rabbitmq.existingSecretKey to the key that holds the broker's URL." "" (eq (index . 1) (include "service.brokerSecret" $top)) -}}
{{- fail (printf "%s: the Secret %s has no key `%s`; its keys are: %s.%s" $top.Chart.Name (index . 1) (last .) (keys ($live.data | default dict) | sortAlpha | join ", ") $other) -}}
{{- end -}}
{{- end -}}

{{/* A quantity in bytes, to compare two: Kubernetes writes 10240Mi as 10Gi. */}}
{{- define "service.bytes" -}}
{{- $factors := dict "" 1 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- mulf (regexFind "^[0-9.]+" . | float64) (get $factors (regexFind "[A-Za-z]*$" .) | float64) | int64 -}}
{{- end -}}
