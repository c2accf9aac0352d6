{{/* Contradictions that a schema cannot see, each with the way out. All are reported at once. */}}

{{- define "zcode.faults" -}}
{{- $version := .Capabilities.KubeVersion.Version -}}
{{- $mode := .Values.credentials.mode -}}
{{- $service := ne $mode "none" -}}
{{- if and (eq $mode "sidecar") .Values.credentials.nativeSidecar (semverCompare "<1.29.0-0" $version) }}
- this cluster ({{ $version }}) has no native sidecars: set credentials.nativeSidecar=false
{{- end }}
{{- if and $service (not .Values.keyring.existingSecret) (not .Values.keyring.persistentVolumeClaim) }}
- keyring.existingSecret is missing. The keyring is never made here: every render would make another one. Make it once: `zcode-proxy keyring new --output keyring.json`, and docs/kubernetes.md, "The keyring"
{{- end }}
{{- if and .Values.keyring.existingSecret .Values.keyring.persistentVolumeClaim }}
- keyring.existingSecret and keyring.persistentVolumeClaim are both set; keep one
{{- end }}
{{- if and (or $service .Values.captcha.enabled .Values.gateway.store.existingSecret) (not .Values.valkey.enabled) (not .Values.store.url) (not .Values.store.urlSecret.name) }}
- store.url is missing: name your Redis or Valkey (redis://, rediss://, redis+sentinel://, redis+cluster://), or for a trial set valkey.enabled=true
{{- end }}
{{- if and .Values.valkey.enabled (or .Values.store.url .Values.store.urlSecret.name) }}
- valkey.enabled and store.url name two stores; keep one
{{- end }}
{{- if and .Values.store.url .Values.store.urlSecret.name }}
- store.url and store.urlSecret.name are both set; keep one
{{- end }}
{{- if and .Values.gateway.store.existingSecret .Values.store.urlSecret.name }}
- gateway.store and store.urlSecret: a URL that is secret holds the credentials service's login, which gateways must not see; use store.url and store.existingSecret
{{- end }}
{{- if and .Values.valkey.enabled (not .Values.valkey.usersSecret) }}
- valkey.usersSecret is missing: a Secret with the ACL file of deploy/redis/users.acl, with passwords of your own
{{- end }}
{{- if and .Values.store.url (regexMatch "://[^/]*:[^/]*@" .Values.store.url) }}
- store.url holds a password, and a ConfigMap or a pod spec is no place for it: use store.existingSecret, or store.urlSecret
{{- end }}
{{- if and (eq $mode "none") (not .Values.upstream.existingSecret) (not .Values.simulator.enabled) }}
- with credentials.mode=none the plan's key comes from a Secret: set upstream.existingSecret
{{- end }}
{{- if and (eq $mode "none") (not .Values.clientKey.existingSecret) }}
- with credentials.mode=none one client key is all there is: set clientKey.existingSecret, or nobody but the pod itself is served
{{- end }}
{{- $auth := .Values.internalAuth -}}
{{- $tls := .Values.internalTls -}}
{{- if and (include "zcode.onNetwork" .) (eq $auth.mode "token") (not .Values.internalToken.existingSecret) }}
- internalToken.existingSecret is missing: a Secret with a random token (32 characters or more) that our processes show each other over the network; or set internalAuth.mode=serviceAccount
{{- end }}
{{- if include "zcode.byAccount" . }}
{{- $calling := dict "gateway" true "captcha" (and .Values.captcha.enabled (eq $mode "deployment")) }}
{{- range $component, $calls := $calling }}
{{- $account := (index $.Values $component).serviceAccount }}
{{- if and $calls (not $account.create) (not $account.name) }}
- {{ $component }}.serviceAccount: with internalAuth.mode=serviceAccount it needs an account of its own, because every pod of the namespace may have the default one; set create or name
{{- end }}
{{- end }}
{{- end }}
{{- if and $auth.jwks.url $auth.jwks.configMap }}
- internalAuth.jwks.url and internalAuth.jwks.configMap are both set; keep one
{{- end }}
{{- if and (or $auth.jwks.url $auth.jwks.configMap) (not $auth.issuer) }}
- internalAuth.issuer is missing: keys alone do not say whose tokens are meant (kubectl get --raw /.well-known/openid-configuration)
{{- end }}
{{- if and $auth.jwks.url (not (hasPrefix "https://" $auth.jwks.url)) }}
- internalAuth.jwks.url must begin with https://: who can change the keys can be anybody
{{- end }}
{{- if and $tls.enabled (not $tls.certManager.enabled) }}
{{- $named := dict "credentials" (eq $mode "deployment") "captcha" .Values.captcha.enabled }}
{{- range $component, $there := $named }}
{{- if and $there (not (index $tls (printf "%sSecret" $component))) }}
- internalTls.{{ $component }}Secret is missing: a Secret with tls.crt, tls.key and ca.crt of the {{ $component }} service; or let cert-manager make it (internalTls.certManager), or set internalTls.enabled=false where a mesh encrypts
{{- end }}
{{- end }}
{{- end }}
{{- if and $tls.enabled $tls.certManager.enabled (not $tls.certManager.issuerRef.name) }}
- internalTls.certManager.issuerRef.name is missing: the Issuer or ClusterIssuer of the certificates
{{- end }}
{{- if and .Values.captcha.enabled (not .Values.captcha.keySecret.name) }}
- captcha.keySecret.name is missing: a Secret with a random text (32 characters or more) that seals tokens and sessions
{{- end }}
{{- if and .Values.captcha.enabled (eq $mode "none") }}
- captcha.enabled needs the credentials service: set credentials.mode to sidecar or deployment
{{- end }}
{{- if and .Values.gateway.autoscaling.enabled .Values.gateway.keda.enabled }}
- gateway.autoscaling and gateway.keda would pull at the same Deployment; keep one
{{- end }}
{{- if and .Values.gateway.autoscaling.enabled (not .Values.gateway.autoscaling.targetStreams) (not .Values.gateway.autoscaling.targetCPU) }}
- gateway.autoscaling has no target: set targetStreams, targetCPU or both
{{- end }}
{{- if and .Values.gateway.keda.enabled (not .Values.gateway.keda.triggers) }}
- gateway.keda.triggers is empty: KEDA needs one to scale by
{{- end }}
{{- if and .Values.metrics.serviceMonitor.enabled .Values.metrics.podMonitor.enabled }}
- metrics.serviceMonitor and metrics.podMonitor would scrape everything twice; keep one
{{- end }}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) }}
- httpRoute.parentRefs is empty: name the Gateway that the route belongs to
{{- end }}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) }}
- ingress.hosts is empty: an Ingress without a host would take every host of its controller
{{- end }}
{{- if and .Values.backup.enabled (not .Values.backup.persistentVolumeClaim) }}
- backup.persistentVolumeClaim is missing: where the backups go
{{- end }}
{{- if and (or .Values.backup.enabled .Values.rotation.enabled) (not $service) }}
- backup and rotation work on the credentials store, and with credentials.mode=none there is none
{{- end }}
{{- if (.Values.config.limits).drain }}
- config.limits.drain is set by gateway.drainSeconds, which the pod's grace period follows; set that one
{{- end }}
{{- if .Values.image.registry }}{{ if and (hasPrefix "http" .Values.image.registry) }}
- image.registry is a host, without http:// or https://
{{- end }}{{ end }}
{{- end -}}

{{- define "zcode.validate" -}}
{{- $faults := include "zcode.faults" . | trim -}}
{{- if $faults -}}
{{- fail (printf "\n\nThese values do not go together:\n\n%s\n" $faults) -}}
{{- end -}}
{{- end -}}
