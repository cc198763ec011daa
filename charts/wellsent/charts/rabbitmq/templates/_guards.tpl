{{/* Refuses changes that the running broker does not allow. Without a cluster to ask (helm template, GitOps) it refuses nothing. */}}
{{- define "rabbitmq.guards" -}}
{{- $live := lookup "apps/v1" "StatefulSet" .Release.Namespace (include "rabbitmq.fullname" .) -}}
{{- with .Values.auth.existingSecret -}}
{{- include "rabbitmq.guardKeys" (list $ . "username" "password" "erlang-cookie") -}}
{{- end -}}
{{- with .Values.tls.existingSecret -}}
{{- include "rabbitmq.guardKeys" (list $ . "tls.crt" "tls.key" "ca.crt") -}}
{{- end -}}
{{- with .Values.definitions.existingSecret -}}
{{- include "rabbitmq.guardKeys" (list $ . "definitions.json") -}}
{{- end -}}
{{- if $live -}}
{{- include "rabbitmq.guardScaleIn" (list . $live) -}}
{{- include "rabbitmq.guardVersion" (list . $live) -}}
{{- include "rabbitmq.guardSize" (list . $live) -}}
{{- end -}}
{{- end -}}

{{/* A Secret that exists without the keys that the pods mount: they would wait in ContainerCreating. */}}
{{- define "rabbitmq.guardKeys" -}}
{{- $top := first . -}}
{{- $live := (lookup "v1" "Secret" $top.Release.Namespace (index . 1)).data -}}
{{- range rest (rest .) -}}
{{- if and $live (not (hasKey $live .)) -}}
{{- fail (printf "rabbitmq: the Secret %s has no key `%s`; its keys are: %s" (index $ 1) . (keys $live | sortAlpha | join ", ")) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "rabbitmq.guardScaleIn" -}}
{{- $top := first . -}}
{{- $replicas := int (last .).spec.replicas -}}
{{- if and (lt (int $top.Values.replicaCount) $replicas) (not $top.Values.clustering.allowScaleIn) -}}
{{- $forget := list -}}
{{- range untilStep (sub $replicas 1 | int) (sub (int $top.Values.replicaCount) 1 | int) -1 -}}
{{- $forget = append $forget (include "rabbitmq.node" (list $top .)) -}}
{{- end -}}
{{- fail (printf "rabbitmq: %d nodes run and replicaCount is %d. A node that is only switched off still counts for the majority, and with too many of them the cluster stops. Take them out first, one after the other: stop it with `kubectl -n %s exec %s-N -- rabbitmqctl stop_app`, then `kubectl -n %s exec %s-0 -- rabbitmqctl forget_cluster_node NODE` for NODE %s; then upgrade with clustering.allowScaleIn=true." $replicas (int $top.Values.replicaCount) $top.Release.Namespace (include "rabbitmq.fullname" $top) $top.Release.Namespace (include "rabbitmq.fullname" $top) (join ", " $forget)) -}}
{{- end -}}
{{- end -}}

{{/* Allows one minor version at a time, and none back. The broker refuses both too, but only when its first node is down. */}}
{{- define "rabbitmq.guardVersion" -}}
{{- $top := first . -}}
{{- $now := include "rabbitmq.version" (first (last .).spec.template.spec.containers).image -}}
{{- $next := include "rabbitmq.version" (include "rabbitmq.image" $top) -}}
{{- if and $now $next -}}
{{- $step := sub (int (last (splitList "." $next))) (int (last (splitList "." $now))) -}}
{{- if or (ne (first (splitList "." $now)) (first (splitList "." $next))) (lt $step 0) (gt $step 1) -}}
{{- fail (printf "rabbitmq: %s runs and the image is %s. Go up one minor version at a time; there is no way down." $now $next) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Refuses another size of the volumes. Kubernetes refuses it too, but names no value. */}}
{{- define "rabbitmq.guardSize" -}}
{{- $size := (first .).Values.persistence.size -}}
{{- range (last .).spec.volumeClaimTemplates | default list -}}
{{- $made := .spec.resources.requests.storage -}}
{{- if ne (include "rabbitmq.bytes" $made) (include "rabbitmq.bytes" $size) -}}
{{- fail (printf "rabbitmq: the volumes were made with persistence.size=%s, and it is %v: a StatefulSet's volumes cannot be changed. docs/kubernetes-operate.md says how to enlarge them." $made $size) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Refuses values that contradict the existing Secret: (list . data). The broker keeps the user of its first start, and its nodes their cookie. */}}
{{- define "rabbitmq.guardSecret" -}}
{{- $top := first . -}}
{{- $auth := $top.Values.auth -}}
{{- $username := dig "username" "" (last .) | b64dec -}}
{{- if and $username (ne $username $auth.username) (not $auth.password) -}}
{{- fail (printf "rabbitmq: the password that is kept is the user %s's; set auth.username=%s. For another user, make it in the broker and give its auth.password as well." $username $username) -}}
{{- end -}}
{{- $cookie := dig "erlang-cookie" "" (last .) | b64dec -}}
{{- $differs := and $cookie $auth.erlangCookie (ne $cookie $auth.erlangCookie) -}}
{{- if and $differs (lookup "apps/v1" "StatefulSet" $top.Release.Namespace (include "rabbitmq.fullname" $top)) -}}
{{- fail "rabbitmq: nodes run with another auth.erlangCookie, and a node that restarts with a new one finds no other. Uninstall first; volumes and Secret stay." -}}
{{- end -}}
{{- end -}}

{{/* Refuses to generate a password if volumes exist: their broker has another one, and no client could log in. Volumes with an owner are deleted
with it, so they do not count. */}}
{{- define "rabbitmq.guardVolumes" -}}
{{- $volume := printf "data-%s-0" (include "rabbitmq.fullname" .) -}}
{{- $metadata := (lookup "v1" "PersistentVolumeClaim" .Release.Namespace $volume).metadata | default dict -}}
{{- if and $metadata (not $metadata.ownerReferences) (not $metadata.deletionTimestamp) -}}
{{- fail (printf "rabbitmq: the volume %s is there, and knows a password that the Secret %s would have held. Give it as auth.password or in auth.existingSecret; if nobody has it, give a new one and set it in the broker as well: `rabbitmqctl change_password %s NEW`." $volume (include "rabbitmq.fullname" .) .Values.auth.username) -}}
{{- end -}}
{{- end -}}

{{/* Major and minor version in an image's tag, or nothing. */}}
{{- define "rabbitmq.version" -}}
{{- regexFind ":[0-9]+\\.[0-9]+" . | trimPrefix ":" -}}
{{- end -}}
