{{/* Refuses, all at once and in plain sentences, what cannot work. The schema has refused what a single field tells. */}}
{{- define "alerthub.checks" -}}
{{- $values := .Values -}}
{{- $wrong := list -}}
{{- range $service, $_ := fromYaml (include "alerthub.table" .) -}}
{{- if not (get $values.secrets $service) -}}
{{- $wrong = append $wrong (printf "secrets.%s: name the Secret that holds the share of %s. Make it from what `alerthub provision files` deals out: kubectl create secret generic alerthub-%s --from-file=SHARES/%s" $service $service $service $service) -}}
{{- end -}}
{{- end -}}
{{- if and $values.provision.enabled (not $values.secrets.provision) -}}
{{- $wrong = append $wrong "secrets.provision: name the Secret that holds the share `provision` (kubectl create secret generic alerthub-provision --from-file=SHARES/provision), or set provision.enabled: false and run `alerthub provision infrastructure` yourself before" -}}
{{- end -}}
{{- if not $values.kafka.bootstrap -}}
{{- $wrong = append $wrong "kafka.bootstrap: say where Kafka is, host:port" -}}
{{- end -}}
{{- if not $values.postgres.host -}}
{{- $wrong = append $wrong "postgres.host: say where PostgreSQL is" -}}
{{- end -}}
{{- if gt (int $values.kafka.minimumInSyncReplicas) (int $values.kafka.replicas) -}}
{{- $wrong = append $wrong "kafka.minimumInSyncReplicas: at most kafka.replicas" -}}
{{- end -}}
{{- $partitions := int $values.kafka.partitions -}}
{{- if and (not $values.autoscaling.correlator.enabled) (gt (int $values.services.correlator.replicas) $partitions) -}}
{{- $wrong = append $wrong (printf "services.correlator.replicas: at most kafka.partitions (%d); a correlator without a partition is never ready" $partitions) -}}
{{- end -}}
{{- if and $values.autoscaling.correlator.enabled (gt (int $values.autoscaling.correlator.maximum) $partitions) -}}
{{- $wrong = append $wrong (printf "autoscaling.correlator.maximum: at most kafka.partitions (%d); a correlator without a partition is never ready" $partitions) -}}
{{- end -}}
{{- range $service, $scaling := $values.autoscaling -}}
{{- if gt (int $scaling.minimum) (int $scaling.maximum) -}}
{{- $wrong = append $wrong (printf "autoscaling.%s.minimum: at most autoscaling.%s.maximum" $service $service) -}}
{{- end -}}
{{- end -}}
{{- if and (gt (int $values.services.watchlist.replicas) 1) (not (include "alerthub.keysShared" .)) -}}
{{- $wrong = append $wrong "services.watchlist.replicas: 1, or keys.volume.accessModes: [ReadWriteMany], since all instances of watchlist share the folder of keys" -}}
{{- end -}}
{{- if and (include "alerthub.onVolume" (dict "root" . "folder" "evidence")) (not (has "ReadWriteMany" $values.evidence.volume.accessModes)) -}}
{{- $wrong = append $wrong "evidence.volume.accessModes: [ReadWriteMany], since gateways and dispatch share the pictures; or evidence.url: s3://BUCKET" -}}
{{- end -}}
{{- if and $values.witness.volume.enabled (not (has "ReadWriteMany" $values.witness.volume.accessModes)) -}}
{{- $wrong = append $wrong "witness.volume.accessModes: [ReadWriteMany], since registry, watchlist and dispatch share the folder; or witness.volume.enabled: false and witness.url: https://WITNESS" -}}
{{- end -}}
{{- if not (or $values.witness.volume.enabled $values.witness.url) -}}
{{- $wrong = append $wrong "witness: a volume (witness.volume.enabled) or witness.url, since signed heads of the audit log must leave the database" -}}
{{- end -}}
{{- if and $values.mqtt.username (not $values.mqtt.passwordSecret) -}}
{{- $wrong = append $wrong "mqtt.passwordSecret: name the Secret whose key mqtt.password is the password of mqtt.username" -}}
{{- end -}}
{{- if gt (len (include "alerthub.fullname" .)) 30 -}}
{{- $wrong = append $wrong (printf "fullnameOverride: a name of at most 30 characters instead of %s, since a gateway tells watchlist its pod's name, in 64 characters" (include "alerthub.fullname" .)) -}}
{{- end -}}
{{- if $wrong -}}
{{- fail (printf "the chart cannot be rendered:\n- %s" (join "\n- " $wrong)) -}}
{{- end -}}
{{- end -}}
