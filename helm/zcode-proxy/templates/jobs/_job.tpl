{{/* The pod of a job that works on the store; takes (dict root args name mounts volumes). */}}
{{- define "zcode.storePod" -}}
{{- $root := .root -}}
metadata:
  labels:
    {{- include "zcode.labels" (list $root "jobs") | nindent 4 }}
spec:
  restartPolicy: OnFailure
  {{- include "zcode.pod" (list $root $root.Values.jobs) | nindent 2 }}
  serviceAccountName: {{ include "zcode.serviceAccountName" (list $root "jobs") }}
  containers:
    - name: {{ .name }}
      {{- include "zcode.container" (list $root .args) | nindent 6 }}
      env:
        {{- include "zcode.storeEnv" $root | nindent 8 }}
        {{- include "zcode.extraEnv" (list $root $root.Values.jobs) | nindent 8 }}
      resources:
        {{- toYaml $root.Values.jobs.resources | nindent 8 }}
      volumeMounts:
        {{- include "zcode.configMounts" $root | nindent 8 }}
        {{- $mounts := include "zcode.storeMounts" $root }}
        {{- if .writesKeyring }}{{ $mounts = $mounts | replace "mountPath: /run/secrets/keyring\n  readOnly: true" "mountPath: /run/secrets/keyring" }}{{ end }}
        {{- $mounts | nindent 8 }}
        {{- with .mounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    {{- include "zcode.configVolume" $root | nindent 4 }}
    {{- include "zcode.storeVolumes" $root | nindent 4 }}
    {{- with .volumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}
