/**
 * The pods. Nothing in here depends on policies, secrets or the content of the configuration: those reach running pods through
 * their files, and a pod restarts only because something about the pod itself was changed.
 */
import { httpPort } from '../../../crds/listener.ts';
import type { MailRelay } from '../../../crds/mail-relay.ts';
import type { PodTemplate } from '../../../crds/pod-template.ts';
import { selectorLabels, servingLabel } from '../../labels.ts';
import { filesFolder } from './files.ts';
import type { DesiredOptions } from './input.ts';
import { namesOf, queueVolume } from './names.ts';

export interface PodInput {
  readonly relay: MailRelay;
  readonly fileShards: number;
  readonly options: DesiredOptions;
}

/** A message lives shorter than a young generation of 4 MiB takes to fill, and V8's own choice costs memory without saving time (docs/decisions/0003). */
export const relayNodeFlags: readonly string[] = ['--max-semi-space-size=4'];

const dataFolder = '/var/lib/postroad';
const configFile = 'relay.json';

/** While it sleeps, the Service forgets the pod; a pod that closed its ports at once would refuse clients that do not know yet. */
const leaveServiceSeconds = 5;
/** What relay/main.ts allows for closing after its grace period, and a little more than that. */
const closingSeconds = 7;

export function podTemplateOf(input: PodInput): unknown {
  const { relay } = input;
  const { template = {} } = relay.spec;
  return {
    metadata: {
      labels: { ...template.labels, ...selectorLabels(relay), [servingLabel]: 'true' },
      annotations: { ...template.annotations, 'kubectl.kubernetes.io/default-container': 'relay' },
    },
    spec: {
      serviceAccountName: namesOf(relay).relay,
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      terminationGracePeriodSeconds: leaveServiceSeconds + relay.spec.shutdown.gracePeriodSeconds + closingSeconds,
      securityContext: podSecurity(input.options),
      containers: [containerOf(input)],
      volumes: volumesOf(input),
      topologySpreadConstraints: spreadOf(relay),
      ...scheduling(template),
    },
  };
}

/** The `restricted` Pod Security Standard. */
function podSecurity({ podUser }: DesiredOptions): unknown {
  return {
    runAsNonRoot: true,
    seccompProfile: { type: 'RuntimeDefault' },
    ...(podUser !== undefined && {
      runAsUser: podUser,
      runAsGroup: podUser,
      fsGroup: podUser,
      // A large queue would else be walked through file by file at each start.
      fsGroupChangePolicy: 'OnRootMismatch',
    }),
  };
}

/** Listeners have no container ports: these only inform, and a new listener, which a running relay opens by itself, would restart the pods. */
function containerOf({ relay, options }: PodInput): unknown {
  const { template = {}, shutdown } = relay.spec;
  return {
    name: 'relay',
    image: template.image ?? options.image,
    ...(template.imagePullPolicy !== undefined && { imagePullPolicy: template.imagePullPolicy }),
    command: ['node', ...relayNodeFlags, '/app/relay/main.ts'],
    args: [
      `--config=${filesFolder}/${configFile}`,
      `--data-dir=${dataFolder}`,
      `--log-level=${options.logLevel}`,
      `--grace-seconds=${shutdown.gracePeriodSeconds}`,
    ],
    ports: [{ name: 'http', containerPort: httpPort, protocol: 'TCP' }],
    lifecycle: { preStop: { sleep: { seconds: leaveServiceSeconds } } },
    ...probes,
    resources: resourcesOf(template),
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    },
    terminationMessagePolicy: 'FallbackToLogsOnError',
    volumeMounts: [
      { name: 'config', mountPath: filesFolder, readOnly: true },
      { name: queueVolume, mountPath: dataFolder },
      { name: 'tmp', mountPath: '/tmp' },
    ],
  };
}

/** As strings, which is how the API server gives quantities back. */
function resourcesOf({ resources }: PodTemplate): unknown {
  const { requests, limits } = resources ?? {
    requests: { cpu: '100m', memory: '256Mi' },
    limits: { memory: '512Mi' },
  };
  const texts = (amounts: object): unknown =>
    Object.fromEntries(Object.entries(amounts).map(([name, amount]) => [name, String(amount)]));
  return {
    ...(requests !== undefined && { requests: texts(requests) }),
    ...(limits !== undefined && { limits: texts(limits) }),
  };
}

const probe = (path: string): unknown => ({ path, port: 'http', scheme: 'HTTP' });

const probes = {
  /** A large queue is checked before the relay answers at all. */
  startupProbe: { httpGet: probe('/healthz'), periodSeconds: 1, timeoutSeconds: 1, failureThreshold: 600 },
  /** Slow is not dead: a relay that is killed under load serves nobody. */
  livenessProbe: { httpGet: probe('/healthz'), periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 6 },
  /** The relay itself gives its queue 5 s to answer. */
  readinessProbe: { httpGet: probe('/readyz'), periodSeconds: 5, timeoutSeconds: 6, failureThreshold: 2 },
};

function volumesOf({ relay, fileShards }: PodInput): unknown[] {
  const names = namesOf(relay);
  const shards = Array.from({ length: fileShards }, (_, index) => ({ secret: { name: names.files(index) } }));
  return [
    {
      name: 'config',
      // One volume, so that kubelet shows all of a change in one step.
      projected: {
        defaultMode: 0o440,
        sources: [{ configMap: { name: names.config, items: [{ key: configFile, path: configFile }] } }, ...shards],
      },
    },
    { name: 'tmp', emptyDir: { sizeLimit: '64Mi' } },
    // For queue type Volume the StatefulSet puts its own here, by name.
    ...(relay.spec.queue.type === 'Redis' ? [{ name: queueVolume, emptyDir: { sizeLimit: '4Gi' } }] : []),
  ];
}

/** Where zones or nodes cannot be told apart, or are full, relays still run. */
const defaultSpread = [
  { topologyKey: 'topology.kubernetes.io/zone', maxSkew: 1, whenUnsatisfiable: 'ScheduleAnyway' },
  { topologyKey: 'kubernetes.io/hostname', maxSkew: 1, whenUnsatisfiable: 'ScheduleAnyway' },
];

function spreadOf(relay: MailRelay): unknown[] {
  const constraints = relay.spec.template?.topologySpreadConstraints ?? defaultSpread;
  return constraints.map(constraint => ({ ...constraint, labelSelector: { matchLabels: selectorLabels(relay) } }));
}

function scheduling({ nodeSelector, tolerations, priorityClassName, imagePullSecrets }: PodTemplate): object {
  return {
    ...(nodeSelector !== undefined && { nodeSelector }),
    ...(tolerations !== undefined && { tolerations }),
    ...(priorityClassName !== undefined && { priorityClassName }),
    ...(imagePullSecrets !== undefined && { imagePullSecrets }),
  };
}
