{{/* Who may speak to whom, one definition per component and direction. Default deny: what is not here does not pass. */}}

{{- define "zcode.from" -}}
- from:
    - podSelector:
        matchLabels:
          {{- include "zcode.selector" . | nindent 10 }}
{{- end -}}

{{- define "zcode.to" -}}
- to:
    - podSelector:
        matchLabels:
          {{- include "zcode.selector" . | nindent 10 }}
{{- end -}}

{{- define "zcode.ingress.metrics" -}}
- from:
    {{- toYaml (index . 0).Values.networkPolicy.metricsFrom | nindent 4 }}
  ports:
    {{- range (rest .) }}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
{{- end -}}

{{- define "zcode.ingress.gateway" -}}
- {{ with .Values.networkPolicy.clientsFrom }}from:
    {{- tpl (toYaml .) $ | nindent 4 }}
    - podSelector:
        matchLabels:
          {{- include "zcode.selector" (list $ "tests") | nindent 10 }}
  {{ end }}ports:
    - {port: http, protocol: TCP}
{{ include "zcode.ingress.metrics" (ternary (list . "admin" "cred-admin") (list . "admin") (eq .Values.credentials.mode "sidecar")) }}
{{- end -}}

{{- define "zcode.ingress.credentials" -}}
{{ include "zcode.from" (list . "gateway") }}
{{- if .Values.captcha.enabled }}
    - podSelector:
        matchLabels:
          {{- include "zcode.selector" (list . "captcha") | nindent 10 }}
{{- end }}
  ports:
    - {port: gateways, protocol: TCP}
{{ include "zcode.ingress.metrics" (list . "cred-admin") }}
{{- end -}}

{{- define "zcode.ingress.captcha" -}}
{{ include "zcode.from" (list . "gateway") }}
{{- if .Values.internalTls.enabled }}
  ports:
    - {port: peers, protocol: TCP}
{{- with .Values.networkPolicy.captchaPageFrom }}
- from:
    {{- tpl (toYaml .) $ | nindent 4 }}
  ports:
    - {port: captcha, protocol: TCP}
{{- end }}
{{- else }}
{{- with .Values.networkPolicy.captchaPageFrom }}
    {{- tpl (toYaml .) $ | nindent 4 }}
{{- end }}
  ports:
    - {port: captcha, protocol: TCP}
{{- end }}
{{ include "zcode.ingress.metrics" (ternary (list . "captcha-admin" "cred-admin") (list . "captcha-admin") (eq .Values.credentials.mode "sidecar")) }}
{{- end -}}

{{- define "zcode.ingress.simulator" -}}
{{ include "zcode.from" (list . "gateway") }}
  ports:
    - {port: upstream, protocol: TCP}
{{- end -}}

{{- define "zcode.ingress.valkey" -}}
- from:
    {{- range list "gateway" "credentials" "captcha" "jobs" }}
    - podSelector:
        matchLabels:
          {{- include "zcode.selector" (list $ .) | nindent 10 }}
    {{- end }}
  ports:
    - {port: redis, protocol: TCP}
{{- end -}}

{{- define "zcode.egress.dns" -}}
- to:
    {{- toYaml .Values.networkPolicy.dns | nindent 4 }}
  ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
{{- end -}}

{{- define "zcode.egress.store" -}}
{{- if .Values.valkey.enabled }}
{{ include "zcode.to" (list . "valkey") }}
  ports:
    - {port: redis, protocol: TCP}
{{- else }}
{{ tpl (toYaml .Values.networkPolicy.store) . }}
{{- end }}
{{- end -}}

{{/* Host names cannot be said here: give CIDRs, or the address of an egress proxy. */}}
{{- define "zcode.egress.upstream" -}}
{{ tpl (toYaml .Values.networkPolicy.upstream) . }}
{{- end -}}

{{- define "zcode.egress.gateway" -}}
{{ include "zcode.egress.upstream" . }}
{{- if or (eq .Values.credentials.mode "sidecar") .Values.gateway.store.existingSecret }}
{{ include "zcode.egress.store" . | trim }}
{{- end }}
{{- if eq .Values.credentials.mode "deployment" }}
{{ include "zcode.to" (list . "credentials") }}
  ports:
    - {port: gateways, protocol: TCP}
{{- end }}
{{- if .Values.captcha.enabled }}
{{ include "zcode.to" (list . "captcha") }}
  ports:
    - {port: {{ ternary "peers" "captcha" .Values.internalTls.enabled }}, protocol: TCP}
{{- end }}
{{- if .Values.simulator.enabled }}
{{ include "zcode.to" (list . "simulator") }}
  ports:
    - {port: upstream, protocol: TCP}
{{- end }}
{{- with .Values.networkPolicy.extraEgress }}
{{ tpl (toYaml .) $ }}
{{- end }}
{{- end -}}

{{/* Where callers' tokens are verified with keys of the API server. */}}
{{- define "zcode.egress.apiServer" -}}
{{- if include "zcode.asksApiServer" . }}
{{ tpl (toYaml .Values.networkPolicy.apiServer) . }}
{{- end }}
{{- end -}}

{{- define "zcode.egress.credentials" -}}
{{ include "zcode.egress.upstream" . }}
{{ include "zcode.egress.store" . | trim }}
{{- include "zcode.egress.apiServer" . }}
{{- end -}}

{{- define "zcode.egress.captcha" -}}
{{ include "zcode.egress.store" . | trim }}
{{ include "zcode.egress.upstream" . }}
{{- include "zcode.egress.apiServer" . }}
{{- if eq .Values.credentials.mode "deployment" }}
{{ include "zcode.to" (list . "credentials") }}
  ports:
    - {port: gateways, protocol: TCP}
{{- end }}
{{- end -}}

{{- define "zcode.egress.simulator" -}}
{{- end -}}

{{- define "zcode.egress.valkey" -}}
{{- end -}}

{{- define "zcode.egress.jobs" -}}
{{ include "zcode.egress.store" . | trim }}
{{- end -}}
