{{/*
The variables of a service: those of alerthub.provision.containers.container_environment, the settings that go together,
and what values.services.NAME.settings says. (dict "root" $ "service" NAME "spec" ITS LINE OF THE TABLE)
*/}}
{{- define "alerthub.environment" -}}
{{- $values := .root.Values -}}
{{- $spec := .spec -}}
{{- $service := .service -}}
{{- $full := include "alerthub.fullname" .root -}}
{{- $table := fromYaml (include "alerthub.table" .root) -}}
{{- $files := fromYaml (include "alerthub.files" .root) -}}
- name: ALERTHUB_SERVICE
  value: {{ $service }}
- name: ALERTHUB_INSTANCE
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: ALERTHUB_LISTEN_HOST
  value: 0.0.0.0
- name: ALERTHUB_OPERATIONS_PORT
  value: "9100"
- name: ALERTHUB_KAFKA__BOOTSTRAP
  value: {{ $values.kafka.bootstrap | quote }}
- name: ALERTHUB_KAFKA__USERNAME
  value: {{ $service }}
- name: ALERTHUB_KAFKA__CA_FILE
  value: {{ include "alerthub.authority" (dict "secret" $values.kafka.caSecret "part" "kafka") }}
{{- with $spec.postgres }}
- name: ALERTHUB_POSTGRES__HOST
  value: {{ $values.postgres.host | quote }}
- name: ALERTHUB_POSTGRES__PORT
  value: {{ $values.postgres.port | int | quote }}
- name: ALERTHUB_POSTGRES__DATABASE
  value: alerthub
- name: ALERTHUB_POSTGRES__ROLE
  value: {{ . }}
- name: ALERTHUB_POSTGRES__CA_FILE
  value: {{ include "alerthub.authority" (dict "secret" $values.postgres.caSecret "part" "postgres") }}
{{- end }}
{{- range $file := fromJsonArray (include "alerthub.share" $spec) }}
- name: {{ get $files $file }}
  value: /run/alerthub/{{ $file }}
{{- end }}
{{- if has "evidence" $spec.keeps }}
- name: ALERTHUB_EVIDENCE_URL
  value: {{ $values.evidence.url | default "file:///var/lib/alerthub/evidence" | quote }}
{{- end }}
{{- if has "keys" $spec.keeps }}
- name: ALERTHUB_KEYS_FOLDER
  value: /var/lib/alerthub/keys
{{- end }}
{{- if eq $service "canary" }}
- name: ALERTHUB_SET_UP_FOLDER
  value: /var/lib/alerthub/canary
- name: ALERTHUB_GATEWAY_INSTANCES
  value: {{ $full }}-gateway-instances:{{ $table.gateway.listeners.grpc_port | int }}
{{- end }}
{{- if has "witness" $spec.keeps }}
{{- if $values.witness.volume.enabled }}
- name: ALERTHUB_WITNESS_FILE
  value: /var/lib/alerthub/witness/{{ $service }}.heads
{{- end }}
{{- with $values.witness.url }}
- name: ALERTHUB_WITNESS_URL
  value: {{ . | quote }}
{{- end }}
{{- if $values.witness.caSecret }}
- name: ALERTHUB_WITNESS_CA_FILE
  value: /run/authorities/witness/ca.pem
{{- end }}
{{- end }}
{{- if and $spec.traces $values.traces.collector }}
- name: ALERTHUB_TRACES__COLLECTOR
  value: {{ $values.traces.collector | quote }}
{{- if $values.traces.caSecret }}
- name: ALERTHUB_TRACES__CA_FILE
  value: /run/authorities/traces/ca.pem
{{- end }}
- name: ALERTHUB_TRACES__BATCH_RATIO
  value: {{ $values.traces.batchRatio | quote }}
{{- end }}
{{- range $listener, $port := $spec.listeners }}
- name: ALERTHUB_{{ upper $listener }}
  value: {{ $port | int | quote }}
{{- end }}
{{- range $field, $where := fromYaml (include "alerthub.addresses" .root) }}
- name: ALERTHUB_ADDRESSES__{{ upper $field }}
  value: {{ $full }}-{{ first $where }}:{{ get (get $table (first $where)).listeners (last $where) | int }}
{{- end }}
{{- if and (eq $service "gateway") $values.mqtt.address }}
- name: ALERTHUB_ADDRESSES__MQTT
  value: {{ $values.mqtt.address | quote }}
{{- if $values.mqtt.caSecret }}
- name: ALERTHUB_MQTT_CA_FILE
  value: /run/authorities/mqtt/ca.pem
{{- end }}
{{- with $values.mqtt.username }}
- name: ALERTHUB_MQTT_USERNAME
  value: {{ . | quote }}
{{- end }}
{{- if $values.mqtt.passwordSecret }}
- name: ALERTHUB_MQTT_PASSWORD_FILE
  value: /run/mqtt/mqtt.password
{{- end }}
{{- end }}
{{- $minutes := $values.retentionMinutes | int }}
{{- if eq $service "correlator" }}
- name: ALERTHUB_PARTITIONS
  value: {{ $values.kafka.partitions | int | quote }}
- name: ALERTHUB_OBSERVATIONS_RETENTION_SECONDS
  value: {{ mul $minutes 60 | quote }}
{{- else if eq $service "watchlist" }}
- name: ALERTHUB_OBSERVATIONS_RETENTION_MINUTES
  value: {{ $minutes | quote }}
{{- else if eq $service "gateway" }}
- name: ALERTHUB_PICTURE_RETENTION_MS
  value: {{ mul $minutes 60000 | quote }}
{{- end }}
{{- range $field, $value := (get $values.services $service).settings }}
- name: ALERTHUB_{{ upper $field }}
  value: {{ if kindIs "string" $value }}{{ $value | quote }}{{ else }}{{ toJson $value | quote }}{{ end }}
{{- end }}
{{- end -}}

{{/* The files of a service's share, as a list of JSON. */}}
{{- define "alerthub.share" -}}
{{- $share := list "tls.pem" "tls.key" "ca.pem" "token.pub" "kafka.password" -}}
{{- if .postgres -}}{{- $share = append $share "postgres.password" -}}{{- end -}}
{{- concat $share .files | toJson -}}
{{- end -}}
