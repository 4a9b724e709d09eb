/**
 * A node for tests that have none: relay pods that kube-controller-manager makes are bound, become Running and Ready, each at a loopback
 * address of its own, see their files change, and go when they are deleted. What runs in their place is chosen:
 *
 *   reports ... answers on port 8080 what a relay with these files would say; cheap, for thousands
 *   runs ...... the real relay
 *
 * Not as a real node: preStop hooks are passed over, and the Services' endpoints stay empty.
 */
import { createClient } from '../../operator/kube/client.ts';
import { isConflict } from '../../operator/kube/errors.ts';
import { pathOf, type Resource } from '../../operator/kube/object.ts';
import { createReflector } from '../../operator/kube/reflector.ts';
import { systemClock } from '../../relay/clock.ts';
import { KeptMetrics, quiet } from '../operator/kube/fakes.ts';
import type { TestApiServer } from './apiserver.ts';
import { claimAddresses } from './node-stand-in/addresses.ts';
import { type Pod, persist, podKind, podSelector } from './node-stand-in/api.ts';
import { standInClaims } from './node-stand-in/claims.ts';
import { PodLife } from './node-stand-in/pod-life.ts';
import { RelayWorkload } from './node-stand-in/relay-workload.ts';
import { Reporter, ReportServer } from './node-stand-in/reporter.ts';
import type { CreateWorkload } from './node-stand-in/workload.ts';
import { temporaryFolder } from './temporary-folder.ts';

export interface NodeStandInOptions {
  readonly server: Pick<TestApiServer, 'admin'>;
  readonly mode: 'reports' | 'runs';
  /** All, where left out. */
  readonly namespace?: string;
  /** Files are looked at this often also when nothing told of a change (kubelet: about a minute). */
  readonly refreshMs?: number;
  /** From the change of a pod's annotation to the pod's having the new files. */
  readonly lagMs?: number;
  /** Each line of a running relay's log, with the key of its pod. */
  readonly onLog?: (key: string, line: string) => void;
}

export interface StandInPod {
  /** `namespace/name`. */
  readonly key: string;
  readonly uid: string;
  readonly address: string;
  /** How often it has looked at its files since its start. */
  readonly refreshes: number;
  /** Its files stay as they are, whatever the API server says. */
  hold(): void;
  release(): void;
}

export interface NodeStandIn extends AsyncDisposable {
  lagMs: number;
  pods(): readonly StandInPod[];
  /** @throws Error when there is no such pod. */
  pod(key: string): StandInPod;
  /** In mode `reports`. */
  reporter(key: string): Reporter;
  /** In mode `runs`. */
  relay(key: string): RelayWorkload;
}

/** What tests filter from the audit log. */
export const nodeUserAgent = 'node-stand-in';
const nodeName = 'stand-in';
const nodeKind: Resource = { apiVersion: 'v1', kind: 'Node', plural: 'nodes', isNamespaced: false };

export async function startNodeStandIn(options: NodeStandInOptions): Promise<NodeStandIn> {
  const { server, namespace, refreshMs = 60_000 } = options;
  await using parts = new AsyncDisposableStack();
  const folder = parts.use(await temporaryFolder());
  const addresses = parts.use(await claimAddresses());
  const reports = new ReportServer();
  const common = { clock: systemClock, metrics: new KeptMetrics() };
  const client = createClient({ ...common, connection: server.admin, userAgent: nodeUserAgent });
  parts.defer(() => client.close());
  const stopping = new AbortController();
  await createNode(stopping.signal);

  const lives = new Map<string, PodLife>();
  let fault: unknown;
  let lagMs = options.lagMs ?? 0;
  const nodeParts = { client, node: nodeName, refreshMs, lagMs: () => lagMs };
  const createWorkload: CreateWorkload = (pod, address, onChange) => {
    if (options.mode === 'reports') return new Reporter(reports, address, onChange);
    const key = `${pod.metadata.namespace}/${pod.metadata.name}`;
    const onLog = (line: string): void => options.onLog?.(key, line);
    const onFault = (error: unknown): void => {
      fault ??= error;
    };
    return new RelayWorkload({ pod, address, folder: folder.path, onChange, onLog, onFault });
  };

  function begin(pod: Pod): void {
    const address = addresses.next();
    const life = new PodLife(nodeParts, pod, address, onChange => createWorkload(pod, address, onChange));
    lives.set(life.uid, life);
    life.done.catch((error: unknown) => {
      fault ??= error;
    });
  }

  function end(uid: string | undefined): void {
    const life = lives.get(uid ?? '');
    if (life === undefined) return;
    lives.delete(life.uid);
    life.abandon().catch((error: unknown) => {
      fault ??= error;
    });
  }

  const watch = { ...common, client, random: Math.random, log: quiet, labelSelector: podSelector };
  const place = namespace === undefined ? {} : { namespace };
  const pods = createReflector<Pod>({ ...watch, ...place, resource: podKind });
  pods.onChange(({ type, object, previous }) => {
    const { uid } = object.metadata;
    if (previous !== undefined && previous.metadata.uid !== uid) end(previous.metadata.uid);
    if (type === 'deleted') end(uid);
    else if (lives.has(uid ?? '')) lives.get(uid ?? '')?.changed(object);
    else begin(object);
  });
  const claims = standInClaims({ ...watch, ...place });
  const running = Promise.all([pods.run(stopping.signal), claims.run(stopping.signal)]);
  parts.defer(async () => {
    stopping.abort();
    await running;
    await Promise.all(lives.values().map(life => life.abandon()));
    if (fault !== undefined) throw fault;
  });
  await Promise.all([pods.whenSynced(stopping.signal), claims.whenSynced(stopping.signal)]);
  const kept = parts.move();

  async function createNode(signal: AbortSignal): Promise<void> {
    const labels = { 'kubernetes.io/hostname': nodeName, 'topology.kubernetes.io/zone': 'here' };
    const body = { apiVersion: 'v1', kind: 'Node', metadata: { name: nodeName, labels } };
    await persist(client, { method: 'POST', path: pathOf(nodeKind, {}), body, signal }).catch((error: unknown) => {
      // Another stand-in at the same server.
      if (!isConflict(error)) throw error;
    });
  }

  function life(key: string): PodLife {
    const found = lives.values().find(each => each.key === key);
    if (found === undefined) throw new Error(`no pod ${key}: there are ${[...lives.values()].map(each => each.key)}`);
    return found;
  }

  return {
    get lagMs() {
      return lagMs;
    },
    set lagMs(value) {
      lagMs = value;
    },
    pods: () => [...lives.values()],
    pod: life,
    reporter(key) {
      const { workload } = life(key);
      if (workload instanceof Reporter) return workload;
      throw new Error('this node runs real relays');
    },
    relay(key) {
      const { workload } = life(key);
      if (workload instanceof RelayWorkload) return workload;
      throw new Error('this node runs no real relays');
    },
    [Symbol.asyncDispose]: () => kept[Symbol.asyncDispose](),
  };
}
