{{/*
The one table: what each service listens at, what it is given, what it keeps, whom it calls. Deployments, services,
claims and network policies all follow from it. tests/unit/test_chart_manifests.py and test_chart_network.py hold it against
alerthub/provision/containers.py, alerthub/provision/shares.py and the addresses that each service's code uses.

postgres   the role in PostgreSQL; absent: it has no connection to it
keeps      folders below /var/lib/alerthub that outlive a pod
calls      listeners of others, by service
module     what is run; absent: services.NAME
outside    listeners that cameras, terminals and browsers may be let in to
traces     it tells spans
*/}}
{{- define "alerthub.table" -}}
registry:
  listeners: {grpc_port: 7101, grpc_person_port: 7102}
  files: [token.key, authority.key, accounts.json]
  postgres: registry
  keeps: [witness]
  calls: {}
  outside: [grpc_person_port]
watchlist:
  listeners: {grpc_port: 7111, grpc_person_port: 7112}
  files: []
  postgres: watchlist
  keeps: [witness, keys]
  calls: {}
  outside: [grpc_person_port]
dispatch:
  listeners: {grpc_port: 7121, grpc_person_port: 7122}
  files: []
  postgres: dispatch
  keeps: [witness, evidence]
  calls: {watchlist: [grpc_port]}
  outside: [grpc_person_port]
  traces: true
push:
  listeners: {grpc_port: 7131}
  files: []
  keeps: []
  calls: {dispatch: [grpc_port], watchlist: [grpc_port]}
  outside: [grpc_port]
  traces: true
console:
  listeners: {http_port: 8444}
  files: []
  keeps: []
  calls: {registry: [grpc_port, grpc_person_port], watchlist: [grpc_person_port], dispatch: [grpc_person_port]}
  outside: [http_port]
correlator:
  listeners: {}
  files: []
  keeps: []
  calls: {}
  outside: []
  traces: true
gateway:
  listeners: {http_port: 8443, grpc_port: 7141}
  files: [digest.key]
  keeps: [evidence]
  calls: {watchlist: [grpc_port]}
  outside: [http_port, grpc_port]
  traces: true
canary:
  module: alerthub.canary
  listeners: {}
  files: []
  keeps: [canary]
  calls: {gateway: [grpc_port], push: [grpc_port], registry: [grpc_person_port]}
  outside: []
{{- end -}}

{{/* Files of a share, and the variable that names each. */}}
{{- define "alerthub.files" -}}
tls.pem: ALERTHUB_TLS__CERTIFICATE_FILE
tls.key: ALERTHUB_TLS__KEY_FILE
ca.pem: ALERTHUB_TLS__CA_FILE
token.pub: ALERTHUB_TOKEN_VERIFICATION_KEY_FILE
kafka.password: ALERTHUB_KAFKA__PASSWORD_FILE
postgres.password: ALERTHUB_POSTGRES__PASSWORD_FILE
token.key: ALERTHUB_TOKEN_SIGNING_KEY_FILE
authority.key: ALERTHUB_AUTHORITY_KEY_FILE
accounts.json: ALERTHUB_BOOTSTRAP_ACCOUNTS_FILE
digest.key: ALERTHUB_DIGEST_KEY_FILE
{{- end -}}

{{/* Fields of alerthub.settings.Addresses: service and listener. */}}
{{- define "alerthub.addresses" -}}
registry: [registry, grpc_port]
registry_person: [registry, grpc_person_port]
watchlist: [watchlist, grpc_port]
watchlist_person: [watchlist, grpc_person_port]
dispatch: [dispatch, grpc_port]
dispatch_person: [dispatch, grpc_person_port]
push: [push, grpc_port]
gateway: [gateway, grpc_port]
{{- end -}}

{{/* A listener's name in Kubernetes, where names of ports have no underscore and 15 characters. */}}
{{- define "alerthub.port" -}}
{{- get (dict "grpc_port" "grpc" "grpc_person_port" "grpc-person" "http_port" "https") . -}}
{{- end -}}
