{{/* Names are short: KubeRay adds its own suffixes, and Kubernetes ends labels at 63 characters. */}}
{{- define "s2i.name" -}}{{ .Release.Name | trunc 24 | trimSuffix "-" }}{{- end }}

{{- define "s2i.labels" -}}
app.kubernetes.io/name: s2i
app.kubernetes.io/instance: {{ include "s2i.name" . }}
{{- end }}

{{- define "s2i.chartLabels" -}}
{{ include "s2i.labels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "s2i.image" -}}
{{- $image := .Values.image -}}
{{- if not $image.repository }}{{ fail "image.repository is empty: build infra/docker, push it, and name it here" }}{{ end -}}
{{- if $image.digest }}{{ $image.repository }}@{{ $image.digest }}
{{- else if $image.requireDigest }}{{ fail "image.digest is empty: write the digest that publishing the image printed, or set image.requireDigest: false to run the tag, wherever it points" }}
{{- else }}{{ $image.repository }}:{{ $image.tag }}{{ end -}}
{{- end }}

{{- define "s2i.gpuImage" -}}
{{- $image := .Values.image -}}
{{- $repository := $image.gpuRepository | default $image.repository -}}
{{- if not $repository }}{{ fail "image.repository is empty: build infra/docker, push it, and name it here" }}{{ end -}}
{{- if $image.gpuDigest }}{{ $repository }}@{{ $image.gpuDigest }}
{{- else if $image.requireDigest }}{{ fail "image.gpuDigest is empty: write the digest that publishing the CUDA image printed, or set image.requireDigest: false to run the tag, wherever it points" }}
{{- else }}{{ $repository }}:{{ $image.gpuTag }}{{ end -}}
{{- end }}

{{/* Where the store is, and its login by reference. */}}
{{- define "s2i.env" -}}
- {name: AWS_REGION, value: {{ .Values.store.region | quote }}}
{{- with .Values.store.endpoint }}
- {name: S2I_S3_ENDPOINT, value: {{ . | quote }}}
{{- end }}
{{- with .Values.store.credentialsSecret }}
- name: AWS_ACCESS_KEY_ID
  valueFrom: {secretKeyRef: {name: {{ . }}, key: {{ $.Values.store.credentialsKeys.id }}}}
- name: AWS_SECRET_ACCESS_KEY
  valueFrom: {secretKeyRef: {name: {{ . }}, key: {{ $.Values.store.credentialsKeys.secret }}}}
{{- end }}
{{- with .Values.traces.endpoint }}
- {name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ . | quote }}}
{{- end }}
{{- if .Values.store.authorityConfigMap }}
- {name: AWS_CA_BUNDLE, value: /store-authority/ca.crt}
{{- end }}
{{- with .Values.store.proxy }}
- {name: HTTPS_PROXY, value: {{ . | quote }}}
- {name: HTTP_PROXY, value: {{ . | quote }}}
- {name: NO_PROXY, value: {{ printf "localhost,127.0.0.1,::1,169.254.169.254,.svc,.cluster.local,%s" $.Values.store.noProxy | trimSuffix "," | quote }}}
{{- end }}
- {name: S2I_HOME, value: /tmp/s2i}
- {name: RAY_USAGE_STATS_ENABLED, value: "0"}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "s2i.podSecurity" -}}
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
fsGroup: 1000
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "s2i.containerSecurity" -}}
allowPrivilegeEscalation: false
privileged: false
capabilities: {drop: [ALL]}
{{- end }}

{{/* Whether pods make their own certificates, signed by the authority in a secret. */}}
{{- define "s2i.signsItself" -}}
{{- if and .Values.tls.enabled (eq .Values.tls.certificates "authority") }}true{{ end }}
{{- end }}

{{/* Ray's own TLS, for every process that speaks its protocol. */}}
{{- define "s2i.tlsEnv" -}}
- {name: RAY_USE_TLS, value: "1"}
- {name: RAY_TLS_SERVER_CERT, value: /certificates/tls.crt}
- {name: RAY_TLS_SERVER_KEY, value: /certificates/tls.key}
- {name: RAY_TLS_CA_CERT, value: /certificates/ca.crt}
{{- end }}

{{/* What every Ray container mounts: room for Ray's sockets and logs, shared memory for its objects, the weights. */}}
{{- define "s2i.mounts" -}}
- {name: tmp, mountPath: /tmp}
- {name: shared-memory, mountPath: /dev/shm}
{{- if .Values.weights.claim }}
- {name: weights, mountPath: /weights, readOnly: true}
{{- end }}
{{- if .Values.store.authorityConfigMap }}
- {name: store-authority, mountPath: /store-authority, readOnly: true}
{{- end }}
{{- if include "s2i.signsItself" . }}
- {name: certificates, mountPath: /certificates, readOnly: true}
{{- end }}
{{- end }}

{{- define "s2i.volumes" -}}
- name: tmp
  emptyDir: {}
- name: shared-memory
  emptyDir: {medium: Memory}
{{- with .Values.weights.claim }}
- name: weights
  persistentVolumeClaim: {claimName: {{ . }}, readOnly: true}
{{- end }}
{{- with .Values.store.authorityConfigMap }}
- name: store-authority
  configMap: {name: {{ . }}, items: [{key: {{ $.Values.store.authorityKey }}, path: ca.crt}]}
{{- end }}
{{- if include "s2i.signsItself" . }}
- name: certificates
  emptyDir: {medium: Memory, sizeLimit: 1Mi}
- name: authority
  secret:
    secretName: {{ required "tls.authoritySecret is needed where tls.certificates is authority" .Values.tls.authoritySecret }}
    defaultMode: 0440
    items: [{key: tls.crt, path: tls.crt}, {key: tls.key, path: tls.key}]
{{- end }}
{{- end }}

{{/* Ray's agent on every node tells whether the node is well, and on the head whether the cluster is. */}}
{{- define "s2i.livenessProbe" -}}
httpGet: {path: /api/healthz, port: 52365}
initialDelaySeconds: 30
periodSeconds: 10
timeoutSeconds: 5
failureThreshold: 12
{{- end }}

{{- define "s2i.readinessProbe" -}}
httpGet: {path: /api/healthz, port: 52365}
initialDelaySeconds: 10
periodSeconds: 5
timeoutSeconds: 5
failureThreshold: 10
{{- end }}

{{/*
The pod of a Ray node. Of `node`: container (its name), component, account, image, cpu, memory, gpus, serves (whether it
answers HTTP), keys (the secret with the service's keys), ephemeralStorage, priorityClassName, runtimeClassName,
nodeSelector, tolerations, annotations, topologySpread.
*/}}
{{- define "s2i.pod" -}}
{{- $node := .node -}}
metadata:
  labels:
    {{- include "s2i.labels" . | nindent 4 }}
    app.kubernetes.io/component: {{ $node.component }}
    s2i/role: {{ $node.role }}
  {{- with $node.annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ $node.account }}
  # The head's autoscaler talks to the Kubernetes API; nothing on the workers does.
  automountServiceAccountToken: {{ eq $node.role "head" }}
  # What autoscaler v2 wants: KubeRay makes a new pod instead.
  restartPolicy: Never
  {{- with $node.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with $node.runtimeClassName }}
  runtimeClassName: {{ . }}
  {{- end }}
  terminationGracePeriodSeconds: {{ $node.grace | default 60 }}
  securityContext: {{- include "s2i.podSecurity" . | nindent 4 }}
  {{- with .Values.image.pullSecrets }}
  imagePullSecrets: {{- range . }}
    - {name: {{ . }}}
  {{- end }}
  {{- end }}
  {{- with $node.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $node.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $node.topologySpread }}
  {{- $spread := . }}
  {{- if .topologyKeys }}
  topologySpreadConstraints:
    {{- range .topologyKeys }}
    - maxSkew: {{ $spread.maxSkew }}
      topologyKey: {{ . }}
      whenUnsatisfiable: {{ $spread.whenUnsatisfiable }}
      labelSelector:
        matchLabels:
          {{- include "s2i.labels" $ | nindent 10 }}
          app.kubernetes.io/component: {{ $node.component }}
          s2i/role: {{ $node.role }}
    {{- end }}
  {{- end }}
  {{- end }}
  {{- if include "s2i.signsItself" . }}
  initContainers:
    # The only container that sees the authority's key. Others call a pod by its address, and a head by its service too.
    - name: certificate
      image: {{ $node.image }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      securityContext: {{- include "s2i.containerSecurity" . | nindent 8 }}
      env:
        - name: POD_IP
          valueFrom: {fieldRef: {fieldPath: status.podIP}}
        {{- if eq $node.role "head" }}
        - name: NAMESPACE
          valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
        # KubeRay's label; clusters of jobs and services get a name of their own each time.
        - name: CLUSTER
          valueFrom: {fieldRef: {fieldPath: "metadata.labels['ray.io/cluster']"}}
        {{- end }}
      command: [python, -m, cluster.certificates, /authority, /certificates, $(POD_IP)]
      {{- if eq $node.role "head" }}
      args:
        - $(CLUSTER)-head-svc
        - $(CLUSTER)-head-svc.$(NAMESPACE).svc
        - $(CLUSTER)-head-svc.$(NAMESPACE).svc.cluster.local
      {{- end }}
      resources:
        requests: {cpu: 100m, memory: 128Mi}
        limits: {cpu: "1", memory: 256Mi}
      volumeMounts:
        - {name: authority, mountPath: /authority, readOnly: true}
        - {name: certificates, mountPath: /certificates}
  {{- end }}
  containers:
    - name: ray-{{ $node.role }}
      image: {{ $node.image }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      securityContext: {{- include "s2i.containerSecurity" . | nindent 8 }}
      env:
        {{- include "s2i.env" . | nindent 8 }}
        {{- if include "s2i.signsItself" . }}
        {{- include "s2i.tlsEnv" . | nindent 8 }}
        {{- end }}
        {{- if eq $node.component "serve" }}
        # Whatever Ray's default becomes: HAProxy's pages and the replicas' ports would be open to the pod's network.
        - {name: RAY_SERVE_ENABLE_HA_PROXY, value: "0"}
        # Bounds what Serve's proxies hold of a live connection.
        - {name: RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH, value: "cluster.serve.http.server:middlewares"}
        {{- end }}
        {{- if eq $node.role "head" }}
        # A node whose link is cut is found after about 15 s: three looks, each every 2 s and answered within 3 s.
        - {name: RAY_health_check_period_ms, value: "2000"}
        - {name: RAY_health_check_timeout_ms, value: "3000"}
        - {name: RAY_health_check_failure_threshold, value: "3"}
        {{- end }}
        {{- if and (eq $node.component "job") (eq $node.role "head") .Values.job.prefectUrl }}
        - {name: PREFECT_API_URL, value: {{ .Values.job.prefectUrl | quote }}}
        {{- with .Values.job.prefectSecret }}
        - name: PREFECT_API_AUTH_STRING
          valueFrom: {secretKeyRef: {name: {{ . }}, key: {{ $.Values.job.prefectKey }}}}
        {{- end }}
        {{- end }}
      ports:
        {{- if eq $node.role "head" }}
        - {name: gcs, containerPort: 6379}
        - {name: dashboard, containerPort: 8265}
        {{- end }}
        {{- if $node.serves }}
        - {name: serve, containerPort: 8000}
        {{- end }}
        - {name: metrics, containerPort: 8080}
      resources:
        requests:
          cpu: {{ $node.cpu | quote }}
          memory: {{ $node.memory }}
          {{- with $node.ephemeralStorage }}
          ephemeral-storage: {{ . }}
          {{- end }}
          {{- if $node.gpus }}
          nvidia.com/gpu: {{ $node.gpus }}
          {{- end }}
        limits:
          cpu: {{ $node.cpu | quote }}
          memory: {{ $node.memory }}
          {{- with $node.ephemeralStorage }}
          ephemeral-storage: {{ . }}
          {{- end }}
          {{- if $node.gpus }}
          nvidia.com/gpu: {{ $node.gpus }}
          {{- end }}
      livenessProbe: {{- include "s2i.livenessProbe" . | nindent 8 }}
      {{- if and $node.serves (eq $node.role "worker") }}
      # Only nodes whose proxy runs get requests; Serve takes it away before it stops a node.
      readinessProbe:
        httpGet: {path: /-/healthz, port: 8000}
        initialDelaySeconds: 10
        periodSeconds: 5
        timeoutSeconds: 5
        failureThreshold: 1
      {{- else }}
      readinessProbe: {{- include "s2i.readinessProbe" . | nindent 8 }}
      {{- end }}
      volumeMounts:
        {{- include "s2i.mounts" . | nindent 8 }}
        {{- if $node.keys }}
        - {name: keys, mountPath: /keys, readOnly: true}
        {{- end }}
  volumes:
    {{- include "s2i.volumes" . | nindent 4 }}
    {{- with $node.keys }}
    - name: keys
      secret: {secretName: {{ . }}, defaultMode: 0440, items: [{key: {{ $.Values.service.keysKey }}, path: keys.json}]}
    {{- end }}
{{- end }}

{{/* The part that all three kinds share: how a cluster is secured and scaled. */}}
{{- define "s2i.clusterOptions" -}}
rayVersion: {{ .Values.rayVersion | quote }}
authOptions:
  mode: token
  secretName: {{ .Values.auth.secretName }}
{{- if and .Values.tls.enabled (eq .Values.tls.certificates "kuberay") }}
tlsOptions:
  enabled: true
{{- end }}
{{- if and .Values.redis.enabled .faultTolerant }}
gcsFaultToleranceOptions:
  redisAddress: {{ required "redis.address is needed where redis.enabled" .Values.redis.address | quote }}
  {{- with .Values.redis.passwordSecret }}
  redisPassword:
    valueFrom: {secretKeyRef: {name: {{ . }}, key: {{ $.Values.redis.passwordKey }}}}
  {{- end }}
{{- end }}
enableInTreeAutoscaling: true
autoscalerOptions:
  version: v2
  idleTimeoutSeconds: {{ .Values.cluster.idleTimeoutSeconds }}
  upscalingMode: Default
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  securityContext: {{- include "s2i.containerSecurity" . | nindent 4 }}
  {{- if include "s2i.signsItself" . }}
  # It runs beside the head, in the same pod.
  env: {{- include "s2i.tlsEnv" . | nindent 4 }}
  volumeMounts:
    - {name: certificates, mountPath: /certificates, readOnly: true}
  {{- end }}
  resources:
    requests: {cpu: 250m, memory: 512Mi}
    limits: {cpu: "1", memory: 1Gi}
{{- end }}

{{/* Head, CPU and GPU groups of a batch cluster. */}}
{{- define "s2i.batchGroups" -}}
{{- $values := .Values -}}
headGroupSpec:
  serviceType: ClusterIP
  rayStartParams:
    num-cpus: "0"
    num-gpus: "0"
    dashboard-host: 0.0.0.0
  template:
    {{- $head := merge (dict "role" "head" "component" .component "account" $values.serviceAccounts.batch.name "image" (include "s2i.image" .)) $values.cluster.head }}
    {{- include "s2i.pod" (merge (dict "node" $head) .) | nindent 4 }}
workerGroupSpecs:
  - groupName: cpu
    replicas: {{ $values.cluster.cpu.minReplicas }}
    minReplicas: {{ $values.cluster.cpu.minReplicas }}
    maxReplicas: {{ $values.cluster.cpu.maxReplicas }}
    rayStartParams: {}
    template:
      {{- $cpu := merge (dict "role" "worker" "component" .component "account" $values.serviceAccounts.batch.name "image" (include "s2i.image" .)) (omit $values.cluster.cpu "minReplicas" "maxReplicas") }}
      {{- include "s2i.pod" (merge (dict "node" $cpu) .) | nindent 6 }}
  {{- if $values.cluster.gpu.enabled }}
  - groupName: gpu
    replicas: {{ $values.cluster.gpu.minReplicas }}
    minReplicas: {{ $values.cluster.gpu.minReplicas }}
    maxReplicas: {{ $values.cluster.gpu.maxReplicas }}
    rayStartParams: {}
    template:
      {{- $gpu := merge (dict "role" "worker" "component" .component "account" $values.serviceAccounts.batch.name "image" (include "s2i.gpuImage" .)) (omit $values.cluster.gpu "minReplicas" "maxReplicas") }}
      {{- include "s2i.pod" (merge (dict "node" $gpu) .) | nindent 6 }}
  {{- end }}
{{- end }}
