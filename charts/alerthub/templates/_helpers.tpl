{{- define "alerthub.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name -}}
{{- end -}}
{{- end -}}

{{/* What selects the pods of this release, whatever their service. */}}
{{- define "alerthub.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Labels of a thing: (dict "root" $ "component" NAME). */}}
{{- define "alerthub.labels" -}}
{{ include "alerthub.selector" .root }}
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{/* What selects the pods of one service. */}}
{{- define "alerthub.selectorOf" -}}
{{ include "alerthub.selector" .root }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "alerthub.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The image's user. Its group may read what is mounted; nobody owns anything else. */}}
{{- define "alerthub.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
# Keys keep the rights that they were made with.
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "alerthub.containerSecurity" -}}
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* What every pod of the release has, beside its containers: (dict "root" $). */}}
{{- define "alerthub.pod" -}}
automountServiceAccountToken: false
# Kubernetes would else add variables such as ALERTHUB_PUSH_PORT, in the form of settings.
enableServiceLinks: false
securityContext:
  {{- include "alerthub.podSecurity" .root | nindent 2 }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The authority of a server of others: its own, or the hub's. (dict "secret" NAME "part" NAME) */}}
{{- define "alerthub.authority" -}}
{{- if .secret -}}/run/authorities/{{ .part }}/ca.pem{{- else -}}/run/alerthub/ca.pem{{- end -}}
{{- end -}}

{{/* The parts of others whose own authority is given, by part: Secret. (dict "root" $ "service" NAME) */}}
{{- define "alerthub.authorities" -}}
{{- $known := get (fromYaml (include "alerthub.table" .root)) .service | default dict -}}
{{- $provisions := eq .service "provision" -}}
{{- with .root.Values.kafka.caSecret }}
kafka: {{ . }}
{{- end }}
{{- if or $provisions (hasKey $known "postgres") }}
{{- with .root.Values.postgres.caSecret }}
postgres: {{ . }}
{{- end }}
{{- end }}
{{- if eq .service "gateway" }}
{{- with .root.Values.mqtt.caSecret }}
mqtt: {{ . }}
{{- end }}
{{- end }}
{{- if and $known.traces .root.Values.traces.collector }}
{{- with .root.Values.traces.caSecret }}
traces: {{ . }}
{{- end }}
{{- end }}
{{- if has "witness" ($known.keeps | default list) }}
{{- with .root.Values.witness.caSecret }}
witness: {{ . }}
{{- end }}
{{- end }}
{{- end -}}

{{/* What is on no volume, since it lies elsewhere: true or empty. (dict "root" $ "folder" NAME) */}}
{{- define "alerthub.onVolume" -}}
{{- if eq .folder "keys" -}}true
{{- else if eq .folder "canary" -}}true
{{- else if eq .folder "evidence" -}}{{- if not .root.Values.evidence.url -}}true{{- end -}}
{{- else if .root.Values.witness.volume.enabled -}}true
{{- end -}}
{{- end -}}

{{- define "alerthub.claim" -}}
{{- (get .root.Values .folder).volume.existingClaim | default (printf "%s-%s" (include "alerthub.fullname" .root) .folder) -}}
{{- end -}}

{{/* Whether several instances of watchlist can have the keys at the same time. */}}
{{- define "alerthub.keysShared" -}}
{{- if has "ReadWriteMany" .Values.keys.volume.accessModes -}}true{{- end -}}
{{- end -}}

{{- define "alerthub.autoscaled" -}}
{{- $scaling := get .root.Values.autoscaling .service -}}
{{- if and $scaling $scaling.enabled -}}true{{- end -}}
{{- end -}}

{{/* The ports in a list of host:port, as a list of JSON. */}}
{{- define "alerthub.portsOf" -}}
{{- $ports := list -}}
{{- range splitList "," . -}}
{{- $ports = append $ports (splitList ":" . | last | trim | int) -}}
{{- end -}}
{{- $ports | uniq | toJson -}}
{{- end -}}

{{/* The port of an address of the web. */}}
{{- define "alerthub.portOfUrl" -}}
{{- $host := (urlParse .).host -}}
{{- if regexMatch ":[0-9]+$" $host -}}{{ splitList ":" $host | last }}{{- else -}}443{{- end -}}
{{- end -}}
