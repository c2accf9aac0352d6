{{/* The credentials process: one container, in the gateway's pod or in a pod of its own. */}}

{{- define "zcode.credentialsContainer" -}}
{{- $part := .Values.credentials -}}
name: credentials
{{ include "zcode.container" (list . (list "credentials" "/etc/zcode-proxy/config.yaml")) }}
env:
  {{- include "zcode.storeEnv" . | nindent 2 }}
  {{- if eq $part.mode "sidecar" }}
  - name: ZCODE_CREDENTIALS_SOCKET
    value: /run/zcode-proxy/credentials.sock
  {{- else }}
  {{- include "zcode.calledEnv" (list . "credentials") | nindent 2 }}
  {{- end }}
  {{- include "zcode.extraEnv" (list . $part) | nindent 2 }}
{{- include "zcode.envFrom" (list . $part) }}
ports:
  {{- if eq $part.mode "deployment" }}
  - {name: gateways, containerPort: 8081}
  {{- end }}
  - {name: cred-admin, containerPort: 9091}
{{ include "zcode.probes" (list $part "cred-admin" "/readyz") }}
resources:
  {{- toYaml $part.resources | nindent 2 }}
volumeMounts:
  {{- include "zcode.configMounts" . | nindent 2 }}
  {{- include "zcode.storeMounts" . | nindent 2 }}
  {{- if eq $part.mode "sidecar" }}
  - name: sockets
    mountPath: /run/zcode-proxy
  {{- else }}
  {{- include "zcode.internalTokenMount" . | nindent 2 }}
  {{- include "zcode.calledMounts" . | nindent 2 }}
  {{- end }}
  {{- with $part.extraVolumeMounts }}
  {{- tpl (toYaml .) $ | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* How many processes with the keyring there are at least: a rotation waits until so many have said what they have. */}}
{{- define "zcode.keyringReplicas" -}}
{{- $gateway := .Values.gateway -}}
{{- if eq .Values.credentials.mode "deployment" -}}
{{- .Values.credentials.replicas -}}
{{- else -}}
{{- $gateways := $gateway.replicas -}}
{{- if $gateway.autoscaling.enabled }}{{ $gateways = $gateway.autoscaling.minReplicas }}{{ end -}}
{{- if $gateway.keda.enabled }}{{ $gateways = $gateway.keda.minReplicas }}{{ end -}}
{{- add $gateways (ternary .Values.captcha.replicas 0 .Values.captcha.enabled) -}}
{{- end -}}
{{- end -}}
