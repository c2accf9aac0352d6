{{/* The services that a gateway calls over the network, as JSON. */}}
{{- define "zcode.called" -}}
{{- $called := list -}}
{{- if eq .Values.credentials.mode "deployment" }}{{ $called = append $called "credentials" }}{{ end -}}
{{- if .Values.captcha.enabled }}{{ $called = append $called "captcha" }}{{ end -}}
{{- toJson $called -}}
{{- end -}}

{{- define "zcode.gatewayEnv" -}}
env:
  {{- if .Values.clientKey.existingSecret }}
  - name: ZCODE_PROXY_API_KEY_FILE
    value: /run/secrets/client/{{ .Values.clientKey.key }}
  {{- end }}
  {{- if .Values.upstream.existingSecret }}
  - name: ZCODE_API_KEY_FILE
    value: /run/secrets/upstream/{{ .Values.upstream.key }}
  {{- end }}
  {{- if ne .Values.credentials.mode "none" }}
  - name: ZCODE_CREDENTIALS_ADDRESS
    value: {{ include "zcode.credentialsAddress" . }}
  {{- end }}
  {{- if eq .Values.credentials.mode "deployment" }}
  {{- include "zcode.callingEnv" (list . "credentials") | nindent 2 }}
  {{- end }}
  {{- if .Values.captcha.enabled }}
  - name: ZCODE_CAPTCHA_ADDRESS
    value: {{ include "zcode.captchaAddress" . }}
  {{- include "zcode.callingEnv" (list . "captcha") | nindent 2 }}
  {{- end }}
  {{- if .Values.gateway.store.existingSecret }}
  {{- include "zcode.ownStoreEnv" (list . .Values.gateway "gateway-store") | nindent 2 }}
  {{- end }}
  {{- include "zcode.extraEnv" (list . .Values.gateway) | nindent 2 }}
{{- end -}}

{{- define "zcode.gatewayMounts" -}}
{{- if .Values.clientKey.existingSecret }}
- name: client-key
  mountPath: /run/secrets/client
  readOnly: true
{{- end }}
{{- if .Values.upstream.existingSecret }}
- name: upstream-key
  mountPath: /run/secrets/upstream
  readOnly: true
{{- end }}
{{- if eq .Values.credentials.mode "sidecar" }}
- name: sockets
  mountPath: /run/zcode-proxy
{{- end }}
{{- with include "zcode.called" . | fromJsonArray }}
{{- include "zcode.internalTokenMount" $ }}
{{- include "zcode.callingMounts" (concat (list $) .) }}
{{- end }}
{{- if eq .Values.credentials.mode "none" }}
- name: usage
  mountPath: /var/lib/zcode-proxy
{{- end }}
{{- if .Values.gateway.store.existingSecret }}
{{- include "zcode.ownStoreMounts" (list . .Values.gateway "gateway-store") }}
{{- end }}
{{- with .Values.gateway.extraVolumeMounts }}
{{ tpl (toYaml .) $ }}
{{- end }}
{{- end -}}

{{- define "zcode.gatewayVolumes" -}}
{{- with .Values.clientKey.existingSecret }}
- name: client-key
  secret:
    secretName: {{ tpl . $ }}
    defaultMode: 0440
    items:
      - {key: {{ $.Values.clientKey.key }}, path: {{ $.Values.clientKey.key }}}
{{- end }}
{{- with .Values.upstream.existingSecret }}
- name: upstream-key
  secret:
    secretName: {{ tpl . $ }}
    defaultMode: 0440
    items:
      - {key: {{ $.Values.upstream.key }}, path: {{ $.Values.upstream.key }}}
{{- end }}
{{- if eq .Values.credentials.mode "sidecar" }}
# Socket and token of the sidecar: in memory, in this pod only, never a Service.
- name: sockets
  emptyDir:
    medium: Memory
    sizeLimit: 1Mi
{{ include "zcode.storeVolumes" . }}
{{- end }}
{{- with include "zcode.called" . | fromJsonArray }}
{{- include "zcode.internalTokenVolume" $ }}
{{- include "zcode.callingVolumes" (concat (list $) .) }}
{{- end }}
{{- if eq .Values.credentials.mode "none" }}
# Usage, where no store takes it: of this pod, until it ends.
- name: usage
  emptyDir:
    sizeLimit: 64Mi
{{- end }}
{{- if .Values.gateway.store.existingSecret }}
{{- include "zcode.ownStoreVolumes" (list . .Values.gateway "gateway-store") }}
{{- end }}
{{- with .Values.gateway.extraVolumes }}
{{ tpl (toYaml .) $ }}
{{- end }}
{{- if eq .Values.credentials.mode "sidecar" }}
{{- with .Values.credentials.extraVolumes }}
{{ tpl (toYaml .) $ }}
{{- end }}
{{- end }}
{{- end -}}
