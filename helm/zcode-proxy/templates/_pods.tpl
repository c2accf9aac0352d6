{{/* What every pod and container of this chart has in common. */}}

{{/* The start of a pod spec; takes (list root part), part being the component's values. */}}
{{- define "zcode.pod" -}}
{{- $root := index . 0 -}}
{{- $part := index . 1 -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with concat (($root.Values.global).imagePullSecrets | default list) $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ if kindIs "map" . }}{{ .name }}{{ else }}{{ . }}{{ end }}
  {{- end }}
{{- end }}
securityContext:
  {{- toYaml $root.Values.podSecurityContext | nindent 2 }}
{{- with $part.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $part.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $part.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $part.affinity }}
affinity:
  {{- tpl (toYaml .) $root | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Spread over nodes and zones; the selector is filled in where the user gives none. Takes (list root part component). */}}
{{- define "zcode.spread" -}}
{{- $root := index . 0 -}}
{{- $selector := dict "matchLabels" (include "zcode.selector" (list $root (index . 2)) | fromYaml) -}}
{{- with (index . 1).topologySpreadConstraints }}
topologySpreadConstraints:
  {{- range . }}
  - {{- toYaml (merge (dict) . (dict "labelSelector" $selector)) | nindent 4 }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* The start of a container of ours; takes (list root args). */}}
{{- define "zcode.container" -}}
{{- $root := index . 0 -}}
image: {{ include "zcode.imageOf" (list $root $root.Values.image) | quote }}
imagePullPolicy: {{ $root.Values.image.pullPolicy }}
args: {{ toJson (index . 1) }}
securityContext:
  {{- toYaml $root.Values.securityContext | nindent 2 }}
{{- end -}}

{{/* Environment and mounts that the user adds to a container; takes (list root part). */}}
{{- define "zcode.extraEnv" -}}
{{- $root := index . 0 -}}
{{- with (index . 1).extraEnv }}
{{ tpl (toYaml .) $root }}
{{- end }}
{{- end -}}

{{- define "zcode.envFrom" -}}
{{- $root := index . 0 -}}
{{- with (index . 1).extraEnvFrom }}
envFrom:
  {{- tpl (toYaml .) $root | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Probes of a process: started, alive, ready; takes (list part port startedPath). Liveness depends on nothing but the process. */}}
{{- define "zcode.probes" -}}
{{- $part := index . 0 -}}
{{- $port := index . 1 -}}
startupProbe:
  httpGet: {path: {{ index . 2 }}, port: {{ $port }}}
  {{- toYaml $part.startupProbe | nindent 2 }}
livenessProbe:
  httpGet: {path: /livez, port: {{ $port }}}
  {{- toYaml $part.livenessProbe | nindent 2 }}
readinessProbe:
  httpGet: {path: /readyz, port: {{ $port }}}
  {{- toYaml $part.readinessProbe | nindent 2 }}
{{- end -}}

{{- define "zcode.configVolume" -}}
- name: config
  configMap:
    name: {{ include "zcode.configMapName" . }}
    defaultMode: 0440
- name: tmp
  emptyDir:
    medium: Memory
    sizeLimit: 16Mi
{{- end -}}

{{/* The whole directory is mounted, not one file: a subPath would never see a change. */}}
{{- define "zcode.configMounts" -}}
- name: config
  mountPath: /etc/zcode-proxy
  readOnly: true
- name: tmp
  mountPath: /tmp
{{- end -}}

{{/* The strategy of a Deployment and the checksum that rolls pods when what this chart renders has changed. */}}
{{- define "zcode.podAnnotations" -}}
{{- $root := index . 0 -}}
{{- $part := index . 1 -}}
checksum/config: {{ include "zcode.config" $root | sha256sum }}
{{- with merge (dict) $part.podAnnotations $root.Values.commonAnnotations }}
{{ tpl (toYaml .) $root }}
{{- end }}
{{- end -}}
