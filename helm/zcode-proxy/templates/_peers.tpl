{{/* How our processes speak to each other over the network: TLS, and who they are. */}}

{{- define "zcode.onNetwork" -}}
{{- if or (eq .Values.credentials.mode "deployment") .Values.captcha.enabled }}true{{ end -}}
{{- end -}}

{{- define "zcode.byAccount" -}}
{{- if and (include "zcode.onNetwork" .) (eq .Values.internalAuth.mode "serviceAccount") }}true{{ end -}}
{{- end -}}

{{/* Whether the API server is asked for the keys that verify tokens. */}}
{{- define "zcode.asksApiServer" -}}
{{- if and (include "zcode.byAccount" .) (not .Values.internalAuth.jwks.url) (not .Values.internalAuth.jwks.configMap) }}true{{ end -}}
{{- end -}}

{{/* The Secret with a service's certificate; takes (list root component). */}}
{{- define "zcode.tlsSecret" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- tpl (default (printf "%s-%s-tls" (include "zcode.fullname" $root) $component) (index $root.Values.internalTls (printf "%sSecret" $component))) $root -}}
{{- end -}}

{{/* Who may call a service; takes (list root component). */}}
{{- define "zcode.callers" -}}
{{- $root := index . 0 -}}
{{- $callers := list (printf "%s/%s" $root.Release.Namespace (include "zcode.serviceAccountName" (list $root "gateway"))) -}}
{{- if and (eq (index . 1) "credentials") $root.Values.captcha.enabled -}}
{{- $callers = append $callers (printf "%s/%s" $root.Release.Namespace (include "zcode.serviceAccountName" (list $root "captcha"))) -}}
{{- end -}}
{{- join "," $callers -}}
{{- end -}}

{{/* Environment of a service that is called over the network; takes (list root component). */}}
{{- define "zcode.calledEnv" -}}
{{- $root := index . 0 -}}
{{- $prefix := printf "ZCODE_%s" (upper (index . 1)) -}}
{{- if $root.Values.internalTls.enabled }}
- name: {{ $prefix }}_TLS_CERT_FILE
  value: /run/secrets/tls/tls.crt
- name: {{ $prefix }}_TLS_KEY_FILE
  value: /run/secrets/tls/tls.key
{{- end }}
{{- if include "zcode.byAccount" $root }}
- name: {{ $prefix }}_SERVICE_ACCOUNTS_ALLOW
  value: {{ include "zcode.callers" . }}
{{- with $root.Values.internalAuth.issuer }}
- name: {{ $prefix }}_SERVICE_ACCOUNTS_ISSUER
  value: {{ tpl . $root | quote }}
{{- end }}
{{- if $root.Values.internalAuth.jwks.url }}
- name: {{ $prefix }}_SERVICE_ACCOUNTS_JWKS
  value: {{ tpl $root.Values.internalAuth.jwks.url $root | quote }}
{{- else if $root.Values.internalAuth.jwks.configMap }}
- name: {{ $prefix }}_SERVICE_ACCOUNTS_JWKS
  value: /etc/zcode-proxy-keys/{{ $root.Values.internalAuth.jwks.key }}
{{- end }}
{{- else }}
- name: {{ $prefix }}_TOKEN_FILE
  value: /run/secrets/internal/{{ $root.Values.internalToken.key }}
{{- end }}
{{- end -}}

{{- define "zcode.calledMounts" -}}
{{- if .Values.internalTls.enabled }}
- {name: tls, mountPath: /run/secrets/tls, readOnly: true}
{{- end }}
{{- if include "zcode.asksApiServer" . }}
- {name: api-server, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}
{{- else if and (include "zcode.byAccount" .) .Values.internalAuth.jwks.configMap }}
- {name: issuer-keys, mountPath: /etc/zcode-proxy-keys, readOnly: true}
{{- end }}
{{- end -}}

{{/* Takes (list root component). */}}
{{- define "zcode.calledVolumes" -}}
{{- $root := index . 0 -}}
{{- if $root.Values.internalTls.enabled }}
- name: tls
  secret:
    secretName: {{ include "zcode.tlsSecret" . }}
    defaultMode: 0440
    items:
      - {key: tls.crt, path: tls.crt}
      - {key: tls.key, path: tls.key}
{{- end }}
{{- if include "zcode.asksApiServer" $root }}
# For the API server alone, to read the keys by which callers' tokens are verified.
- name: api-server
  projected:
    defaultMode: 0440
    sources:
      - serviceAccountToken: {path: token, expirationSeconds: 3600}
      - configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}
{{- else if and (include "zcode.byAccount" $root) $root.Values.internalAuth.jwks.configMap }}
- name: issuer-keys
  configMap:
    name: {{ tpl $root.Values.internalAuth.jwks.configMap $root }}
    defaultMode: 0440
{{- end }}
{{- end -}}

{{/* Environment of who calls a service over the network; takes (list root component). */}}
{{- define "zcode.callingEnv" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $prefix := printf "ZCODE_%s" (upper $component) -}}
{{- if include "zcode.byAccount" $root }}
- name: {{ $prefix }}_TOKEN_FILE
  value: /run/secrets/account/{{ $component }}
{{- else }}
- name: {{ $prefix }}_TOKEN_FILE
  value: /run/secrets/internal/{{ $root.Values.internalToken.key }}
{{- end }}
{{- if $root.Values.internalTls.enabled }}
- name: {{ $prefix }}_CA_FILE
  value: /run/secrets/{{ $component }}-ca/ca.crt
{{- end }}
{{- end -}}

{{/* Takes (list root component…): what a pod has mounted that calls these services. */}}
{{- define "zcode.callingMounts" -}}
{{- $root := index . 0 -}}
{{- if include "zcode.byAccount" $root }}
- {name: account, mountPath: /run/secrets/account, readOnly: true}
{{- end }}
{{- if $root.Values.internalTls.enabled }}
{{- range rest . }}
- {name: {{ . }}-ca, mountPath: /run/secrets/{{ . }}-ca, readOnly: true}
{{- end }}
{{- end }}
{{- end -}}

{{/* Of a service's Secret its callers get the authority alone, never the key. */}}
{{- define "zcode.callingVolumes" -}}
{{- $root := index . 0 -}}
{{- if include "zcode.byAccount" $root }}
# One token for each service that is called, good there and nowhere else.
- name: account
  projected:
    defaultMode: 0440
    sources:
      {{- range rest . }}
      - serviceAccountToken: {path: {{ . }}, audience: {{ ternary "zr-captcha" "zr-credentials" (eq . "captcha") }}, expirationSeconds: {{ $root.Values.internalAuth.expirationSeconds }}}
      {{- end }}
{{- end }}
{{- if $root.Values.internalTls.enabled }}
{{- range rest . }}
- name: {{ . }}-ca
  {{- if $root.Values.internalTls.caConfigMap }}
  configMap:
    name: {{ tpl $root.Values.internalTls.caConfigMap $root }}
  {{- else }}
  secret:
    secretName: {{ include "zcode.tlsSecret" (list $root .) }}
  {{- end }}
    defaultMode: 0440
    items:
      - {key: {{ $root.Values.internalTls.caKey }}, path: ca.crt}
{{- end }}
{{- end }}
{{- end -}}

{{/* The token that our processes show each other; a file, so that a new one is used without a restart. */}}
{{- define "zcode.internalTokenVolume" -}}
{{- if not (include "zcode.byAccount" .) }}
- name: internal-token
  secret:
    secretName: {{ tpl .Values.internalToken.existingSecret . }}
    defaultMode: 0440
    items:
      - {key: {{ .Values.internalToken.key }}, path: {{ .Values.internalToken.key }}}
{{- end }}
{{- end -}}

{{- define "zcode.internalTokenMount" -}}
{{- if not (include "zcode.byAccount" .) }}
- {name: internal-token, mountPath: /run/secrets/internal, readOnly: true}
{{- end }}
{{- end -}}

{{/* Where gateways reach the captcha service: a port of its own with TLS, else the page's. */}}
{{- define "zcode.captchaAddress" -}}
{{- if .Values.internalTls.enabled -}}
https://{{ include "zcode.fullname" . }}-captcha-peers:8083
{{- else -}}
http://{{ include "zcode.fullname" . }}-captcha:{{ .Values.captcha.service.port }}
{{- end -}}
{{- end -}}
