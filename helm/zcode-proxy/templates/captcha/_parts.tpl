{{/* The captcha process has a Redis user of its own, and no keyring: what it stores is sealed under its own key. */}}

{{- define "zcode.captchaEnv" -}}
- name: ZCODE_CREDENTIALS_ADDRESS
  value: {{ include "zcode.credentialsAddress" . }}
{{- include "zcode.calledEnv" (list . "captcha") }}
{{- if .Values.internalTls.enabled }}
- name: ZCODE_CAPTCHA_PEER_PORT
  value: "8083"
{{- end }}
{{- if eq .Values.credentials.mode "deployment" }}
{{- include "zcode.callingEnv" (list . "credentials") }}
{{- end }}
- name: ZCODE_CAPTCHA_KEY_FILE
  value: /run/secrets/captcha/{{ .Values.captcha.keySecret.key }}
{{- with .Values.captcha.origin }}
- name: ZCODE_CAPTCHA_ORIGIN
  value: {{ tpl . $ | quote }}
{{- end }}
{{ include "zcode.ownStoreEnv" (list . .Values.captcha "captcha-store") }}
{{- end -}}

{{- define "zcode.captchaMounts" -}}
{{- include "zcode.internalTokenMount" . }}
{{- include "zcode.calledMounts" . }}
{{- if eq .Values.credentials.mode "deployment" }}
{{- include "zcode.callingMounts" (list . "credentials") }}
{{- end }}
- {name: captcha-key, mountPath: /run/secrets/captcha, readOnly: true}
- {name: captcha-state, mountPath: /var/lib/zcode-proxy}
{{- include "zcode.ownStoreMounts" (list . .Values.captcha "captcha-store") }}
{{- if eq .Values.credentials.mode "sidecar" }}
- {name: sockets, mountPath: /run/zcode-proxy}
{{- end }}
{{- end -}}

{{- define "zcode.captchaVolumes" -}}
{{- include "zcode.internalTokenVolume" . }}
{{- include "zcode.calledVolumes" (list . "captcha") }}
{{- if eq .Values.credentials.mode "deployment" }}
{{- include "zcode.callingVolumes" (list . "credentials") }}
{{- end }}
- name: captcha-key
  secret:
    secretName: {{ tpl .Values.captcha.keySecret.name . }}
    defaultMode: 0440
- name: captcha-state
  emptyDir: {sizeLimit: 16Mi}
{{- include "zcode.ownStoreVolumes" (list . .Values.captcha "captcha-store") }}
{{- if eq .Values.credentials.mode "sidecar" }}
- name: sockets
  emptyDir:
    medium: Memory
    sizeLimit: 1Mi
{{ include "zcode.storeVolumes" . }}
{{- with .Values.credentials.extraVolumes }}
{{ tpl (toYaml .) $ }}
{{- end }}
{{- end }}
{{- end -}}
