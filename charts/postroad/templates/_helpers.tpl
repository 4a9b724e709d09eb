{{/* A pod's name is this, a hash and a suffix, and must fit into 63 characters; alerts select pods by it. */}}
{{- define "postroad.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Never changes between versions: a Deployment's selector cannot. */}}
{{- define "postroad.selectorLabels" -}}
app.kubernetes.io/name: postroad
app.kubernetes.io/component: operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "postroad.commonLabels" -}}
app.kubernetes.io/part-of: postroad
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "postroad.labels" -}}
{{ include "postroad.selectorLabels" . }}
{{ include "postroad.commonLabels" . }}
{{- end -}}

{{/* For objects of a hook: not the operator's labels, whose Service and NetworkPolicy would take its pods for operators. */}}
{{- define "postroad.hookLabels" -}}
app.kubernetes.io/name: postroad
app.kubernetes.io/component: hook
app.kubernetes.io/instance: {{ .Release.Name }}
{{ include "postroad.commonLabels" . }}
{{- end -}}

{{- define "postroad.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "postroad.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name is needed when serviceAccount.create is false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "postroad.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ printf "%s@%s" .repository .digest }}
{{- else -}}
{{ printf "%s:%s" .repository (default $.Chart.AppVersion .tag) }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The restricted Pod Security Standard. */}}
{{- define "postroad.podSecurityContext" -}}
runAsNonRoot: true
{{- /* A null of the user's takes the key away. */}}
{{- with .Values.operator.podUser }}
runAsUser: {{ int64 . }}
runAsGroup: {{ int64 . }}
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "postroad.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "postroad.leaseName" -}}
{{ include "postroad.fullname" . }}
{{- end -}}

{{/* Prometheus' matchers for the operator's pods, by labels that every way of finding pods sets. */}}
{{- define "postroad.podMatchers" -}}
namespace="{{ .Release.Namespace }}",pod=~"{{ include "postroad.fullname" . }}-[a-z0-9]+-[a-z0-9]+"
{{- end -}}

{{/* Whether an optional kind is wanted; "true" or nothing. Give (list . setting "group/version/Kind"). */}}
{{- define "postroad.wants" -}}
{{- $root := index . 0 -}}
{{- $setting := index . 1 -}}
{{- if or (eq $setting "Enabled") (and (eq $setting "Auto") ($root.Capabilities.APIVersions.Has (index . 2))) -}}
true
{{- end -}}
{{- end -}}

{{- define "postroad.hookSelector" -}}
app.kubernetes.io/name: postroad
app.kubernetes.io/component: hook
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* The flags of operator/options.ts. */}}
{{- define "postroad.operatorArgs" -}}
- --namespace={{ .Release.Namespace }}
- --lease-name={{ include "postroad.leaseName" . }}
- --lease-duration-seconds={{ int .Values.operator.lease.durationSeconds }}
- --renew-deadline-seconds={{ int .Values.operator.lease.renewDeadlineSeconds }}
- --retry-seconds={{ int .Values.operator.lease.retrySeconds }}
- --image={{ include "postroad.image" . }}
- --pod-user={{ with .Values.operator.podUser }}{{ int64 . }}{{ end }}
- --pod-labels={{ include "postroad.labelList" (include "postroad.selectorLabels" . | fromYaml) }}
- --cluster-domain={{ .Values.operator.clusterDomain }}
- --log-level={{ .Values.operator.logLevel }}
- --relay-log-level={{ .Values.relays.logLevel }}
- --workers={{ int .Values.operator.workers }}
{{- with .Values.relayNamespaces }}
- --relay-namespaces={{ join "," . }}
{{- end }}
{{- with .Values.operator.nameservers }}
- {{ printf "--nameservers=%s" (join "," .) | quote }}
{{- end }}
{{- with .Values.monitoring.namespaces }}
- --monitoring-namespaces={{ join "," . }}
{{- end }}
{{- with .Values.monitoring.labels }}
- --monitoring-labels={{ include "postroad.labelList" . }}
{{- end }}
- {{ printf "--runbook-url=%s" .Values.monitoring.runbookUrl | quote }}
- --http=0.0.0.0:8080
{{- end -}}

{{/* A map as `a=b,c=d`. */}}
{{- define "postroad.labelList" -}}
{{- $pairs := list -}}
{{- range $key, $value := . -}}
{{- $pairs = append $pairs (printf "%s=%s" $key $value) -}}
{{- end -}}
{{- join "," $pairs -}}
{{- end -}}

{{- define "postroad.subjects" -}}
- kind: ServiceAccount
  name: {{ include "postroad.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}

{{/* One definition serves every release of the cluster: no labels of the operator's. */}}
{{- define "postroad.crdLabels" -}}
app.kubernetes.io/part-of: postroad
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{/* Ports of name servers other than 53, as a list in YAML. */}}
{{- define "postroad.nameserverPorts" -}}
{{- $ports := list -}}
{{- range .Values.networkPolicy.dnsPorts -}}
{{- $ports = append $ports (int . | toString) -}}
{{- end -}}
{{- range .Values.operator.nameservers -}}
{{- $ports = append $ports (regexFind "[0-9]+$" .) -}}
{{- end -}}
{{- without ($ports | uniq) "53" | toYaml -}}
{{- end -}}
