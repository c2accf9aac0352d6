{{/* The captcha process has a Redis user of its own, and no keyring: what it stores is sealed under its own key. */}}

{{- define "zcode.captchaEnv" -}}
- name: ZCODE_CREDENTIALS_ADDRESS
  value: {{ include "zcode.credentialsAddress" . }}
- name: ZCODE_CAPTCHA_TOKEN_FILE
  value: /run/secrets/internal/{{ .Values.internalToken.key }}
{{- if eq .Values.credentials.mode "deployment" }}
- name: ZCODE_CREDENTIALS_TOKEN_FILE
  value: /run/secrets/internal/{{ .Values.internalToken.key }}
{{- end }}
- name: ZCODE_CAPTCHA_KEY_FILE
  value: /run/secrets/captcha/{{ .Values.captcha.keySecret.key }}
{{- with .Values.captcha.origin }}
- name: ZCODE_CAPTCHA_ORIGIN
  value: {{ tpl . $ | quote }}
{{- end }}
- name: ZCODE_STORE_URL
  {{- if .Values.store.urlSecret.name }}
  valueFrom:
    secretKeyRef: {name: {{ tpl .Values.store.urlSecret.name . }}, key: {{ .Values.store.urlSecret.key }}}
  {{- else }}
  value: {{ include "zcode.storeUrl" . | quote }}
  {{- end }}
{{- with .Values.captcha.store.username }}
- name: ZCODE_STORE_USERNAME
  value: {{ . | quote }}
{{- end }}
{{- if .Values.captcha.store.existingSecret }}
- name: ZCODE_STORE_PASSWORD_FILE
  value: /run/secrets/captcha-store/{{ .Values.captcha.store.passwordKey }}
{{- end }}
{{- if .Values.store.tls.existingSecret }}
- name: ZCODE_STORE_CA_FILE
  value: /run/secrets/store-tls/{{ .Values.store.tls.caKey }}
{{- end }}
{{- end -}}

{{- define "zcode.captchaMounts" -}}
- {name: internal-token, mountPath: /run/secrets/internal, readOnly: true}
- {name: captcha-key, mountPath: /run/secrets/captcha, readOnly: true}
- {name: captcha-state, mountPath: /var/lib/zcode-proxy}
{{- if .Values.captcha.store.existingSecret }}
- {name: captcha-store, mountPath: /run/secrets/captcha-store, readOnly: true}
{{- end }}
{{- if .Values.store.tls.existingSecret }}
- {name: store-tls, mountPath: /run/secrets/store-tls, readOnly: true}
{{- end }}
{{- if eq .Values.credentials.mode "sidecar" }}
- {name: sockets, mountPath: /run/zcode-proxy}
{{- end }}
{{- end -}}

{{- define "zcode.captchaVolumes" -}}
{{ include "zcode.internalTokenVolume" . }}
- name: captcha-key
  secret:
    secretName: {{ tpl .Values.captcha.keySecret.name . }}
    defaultMode: 0440
- name: captcha-state
  emptyDir: {sizeLimit: 16Mi}
{{- with .Values.captcha.store.existingSecret }}
- name: captcha-store
  secret:
    secretName: {{ tpl . $ }}
    defaultMode: 0440
{{- end }}
{{- if eq .Values.credentials.mode "sidecar" }}
- name: sockets
  emptyDir:
    medium: Memory
    sizeLimit: 1Mi
{{ include "zcode.storeVolumes" . }}
{{- with .Values.credentials.extraVolumes }}
{{ tpl (toYaml .) $ }}
{{- end }}
{{- else if .Values.store.tls.existingSecret }}
- name: store-tls
  secret:
    secretName: {{ tpl .Values.store.tls.existingSecret . }}
    defaultMode: 0440
{{- end }}
{{- end -}}
