{{/* The configuration file of all processes: what the chart knows, under what the user says in `config`. */}}

{{- define "zcode.configMapName" -}}
{{- default (printf "%s-config" (include "zcode.fullname" .)) .Values.existingConfigMap -}}
{{- end -}}

{{- define "zcode.config" -}}
{{- $config := dict
  "server" (dict "host" "0.0.0.0" "port" 8080 "adminPort" 9090)
  "limits" (dict "drain" (int .Values.gateway.drainSeconds))
  "logging" (dict "format" "json")
-}}
{{- $_ := set $config "store" (dict "dir" "/var/lib/zcode-proxy") -}}
{{- if ne .Values.credentials.mode "none" -}}
{{- $_ := set $config "credentials" (dict "host" "0.0.0.0" "port" 8081 "adminHost" "0.0.0.0" "adminPort" 9091) -}}
{{- end -}}
{{- if .Values.captcha.enabled -}}
{{- $_ := set $config "captcha" (dict "host" "0.0.0.0" "port" 8082 "adminHost" "0.0.0.0" "adminPort" 9092) -}}
{{- end -}}
{{- if .Values.simulator.enabled -}}
{{- $origin := printf "http://%s-simulator:8090" (include "zcode.fullname" .) -}}
{{- $stand := dict "anthropicBase" (printf "%s/api/anthropic" $origin) "openaiBase" (printf "%s/api/coding/paas/v4" $origin) -}}
{{- $_ := set $config "providers" (dict "zai" $stand) -}}
{{- $_ := set $config "simulated" true -}}
{{- end -}}
{{- toYaml (mustMergeOverwrite $config (tpl (toYaml .Values.config) . | fromYaml)) -}}
{{- end -}}

{{/* Where credentials are: a socket in the pod, or a Service. */}}
{{- define "zcode.credentialsAddress" -}}
{{- if eq .Values.credentials.mode "sidecar" -}}
unix:/run/zcode-proxy/credentials.sock
{{- else -}}
{{ ternary "https" "http" .Values.internalTls.enabled }}://{{ include "zcode.fullname" . }}-credentials:8081
{{- end -}}
{{- end -}}

{{- define "zcode.storeUrl" -}}
{{- if .Values.valkey.enabled -}}
redis://{{ include "zcode.fullname" . }}-valkey:6379
{{- else -}}
{{- tpl .Values.store.url . -}}
{{- end -}}
{{- end -}}

{{- define "zcode.storeUrlEnv" -}}
- name: ZCODE_STORE_URL
  {{- if .Values.store.urlSecret.name }}
  valueFrom:
    secretKeyRef: {name: {{ tpl .Values.store.urlSecret.name . }}, key: {{ .Values.store.urlSecret.key }}}
  {{- else }}
  value: {{ include "zcode.storeUrl" . | quote }}
  {{- end }}
{{- end -}}

{{/* Environment of the processes that hold the keyring. Nothing secret is in it: passwords come from files. */}}
{{- define "zcode.storeEnv" -}}
{{ include "zcode.storeUrlEnv" . }}
{{- with .Values.store.username }}
- name: ZCODE_STORE_USERNAME
  value: {{ . | quote }}
{{- end }}
{{- with .Values.store.sentinelUsername }}
- name: ZCODE_STORE_SENTINEL_USERNAME
  value: {{ . | quote }}
{{- end }}
{{- if .Values.store.existingSecret }}
- name: ZCODE_STORE_PASSWORD_FILE
  value: /run/secrets/store/password
{{- if .Values.store.sentinelPasswordKey }}
- name: ZCODE_STORE_SENTINEL_PASSWORD_FILE
  value: /run/secrets/store/sentinel-password
{{- end }}
{{- end }}
{{- if .Values.store.tls.existingSecret }}
- name: ZCODE_STORE_CA_FILE
  value: /run/secrets/store-tls/{{ .Values.store.tls.caKey }}
{{- end }}
- name: ZCODE_KEYRING_FILE
  value: /run/secrets/keyring/{{ .Values.keyring.key }}
{{- end -}}

{{- define "zcode.storeVolumes" -}}
- name: keyring
  {{- if .Values.keyring.persistentVolumeClaim }}
  persistentVolumeClaim:
    claimName: {{ tpl .Values.keyring.persistentVolumeClaim . }}
  {{- else }}
  secret:
    secretName: {{ tpl .Values.keyring.existingSecret . }}
    defaultMode: 0440
    items:
      - {key: {{ .Values.keyring.key }}, path: {{ .Values.keyring.key }}}
  {{- end }}
{{- with .Values.store.existingSecret }}
- name: store
  secret:
    secretName: {{ tpl . $ }}
    defaultMode: 0440
    items:
      - {key: {{ $.Values.store.passwordKey }}, path: password}
      {{- with $.Values.store.sentinelPasswordKey }}
      - {key: {{ . }}, path: sentinel-password}
      {{- end }}
{{- end }}
{{- with .Values.store.tls.existingSecret }}
- name: store-tls
  secret:
    secretName: {{ tpl . $ }}
    defaultMode: 0440
{{- end }}
- name: state
  emptyDir:
    sizeLimit: {{ .Values.credentials.stateSize }}
{{- end -}}

{{/* `state` holds the spool and the audit log's file; it need not outlive the pod, what is committed is in the store. */}}
{{- define "zcode.storeMounts" -}}
- name: keyring
  mountPath: /run/secrets/keyring
  readOnly: true
{{- if .Values.store.existingSecret }}
- name: store
  mountPath: /run/secrets/store
  readOnly: true
{{- end }}
{{- if .Values.store.tls.existingSecret }}
- name: store-tls
  mountPath: /run/secrets/store-tls
  readOnly: true
{{- end }}
- name: state
  mountPath: /var/lib/zcode-proxy
{{- end -}}

{{/* The way to the store for a process with an ACL user of its own, who sees no credential; takes (list root part name). */}}
{{- define "zcode.ownStoreEnv" -}}
{{- $root := index . 0 -}}
{{- $store := (index . 1).store -}}
{{- $name := index . 2 -}}
{{ include "zcode.storeUrlEnv" $root }}
{{- with $store.username }}
- name: ZCODE_STORE_USERNAME
  value: {{ . | quote }}
{{- end }}
{{- if $store.existingSecret }}
- name: ZCODE_STORE_PASSWORD_FILE
  value: /run/secrets/{{ $name }}/{{ $store.passwordKey }}
{{- end }}
{{- with $root.Values.store.sentinelUsername }}
- name: ZCODE_STORE_SENTINEL_USERNAME
  value: {{ . | quote }}
{{- end }}
{{- if include "zcode.sentinelSecret" $root }}
- name: ZCODE_STORE_SENTINEL_PASSWORD_FILE
  value: /run/secrets/store-sentinel/sentinel-password
{{- end }}
{{- if $root.Values.store.tls.existingSecret }}
- name: ZCODE_STORE_CA_FILE
  value: /run/secrets/store-tls/{{ $root.Values.store.tls.caKey }}
{{- end }}
{{- end -}}

{{- define "zcode.sentinelSecret" -}}
{{- if and .Values.store.existingSecret .Values.store.sentinelPasswordKey }}{{ tpl .Values.store.existingSecret . }}{{ end -}}
{{- end -}}

{{- define "zcode.ownStoreMounts" -}}
{{- $root := index . 0 -}}
{{- if (index . 1).store.existingSecret }}
- {name: {{ index . 2 }}, mountPath: /run/secrets/{{ index . 2 }}, readOnly: true}
{{- end }}
{{- if include "zcode.sentinelSecret" $root }}
- {name: store-sentinel, mountPath: /run/secrets/store-sentinel, readOnly: true}
{{- end }}
{{- if $root.Values.store.tls.existingSecret }}
- {name: store-tls, mountPath: /run/secrets/store-tls, readOnly: true}
{{- end }}
{{- end -}}

{{/* In sidecar mode `store-tls` is among the volumes of the container beside. */}}
{{- define "zcode.ownStoreVolumes" -}}
{{- $root := index . 0 -}}
{{- $store := (index . 1).store -}}
{{- with $store.existingSecret }}
- name: {{ index $ 2 }}
  secret:
    secretName: {{ tpl . $root }}
    defaultMode: 0440
    items:
      - {key: {{ $store.passwordKey }}, path: {{ $store.passwordKey }}}
{{- end }}
{{- with include "zcode.sentinelSecret" $root }}
# One key of the Secret: the password beside it is not for this process.
- name: store-sentinel
  secret:
    secretName: {{ . }}
    defaultMode: 0440
    items:
      - {key: {{ $root.Values.store.sentinelPasswordKey }}, path: sentinel-password}
{{- end }}
{{- if and $root.Values.store.tls.existingSecret (ne $root.Values.credentials.mode "sidecar") }}
- name: store-tls
  secret:
    secretName: {{ tpl $root.Values.store.tls.existingSecret $root }}
    defaultMode: 0440
{{- end }}
{{- end -}}
