/** A relay in a cluster of memory, and the controller that looks after it. */
import assert from 'node:assert/strict';
import type { MailRelay } from '../../../crds/mail-relay.ts';
import { domainPolicies, mailRelays, pods, resourceOf } from '../../../operator/cluster/kinds.ts';
import { RelayStates } from '../../../operator/cluster/relay-states.ts';
import type { Controller } from '../../../operator/controller.ts';
import { createApplier } from '../../../operator/kube/apply.ts';
import type { Happening } from '../../../operator/kube/events.ts';
import type { KubeObject } from '../../../operator/kube/object.ts';
import { fieldManager, handoverFieldManager, revisionAnnotation, selectorLabels } from '../../../operator/labels.ts';
import { createMailRelayController } from '../../../operator/mailrelay/controller.ts';
import type { PodReport } from '../../../operator/mailrelay/pod-report.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { domainPolicy } from '../builders.ts';
import { KeptMetrics, quiet } from '../kube/fakes.ts';
import { MemoryCluster } from './memory-cluster.ts';
import { policyStatesOf } from './policy-states.ts';
import { options, storedRelay } from './relay-input.ts';

export const { signal } = new AbortController();
export const key = 'mail/outbound';
export const place = (apiVersion: string, kind: string) => resourceOf({ apiVersion, kind });
export const configMaps = place('v1', 'ConfigMap');
export const secretKind = place('v1', 'Secret');
export const dayMs = 86_400_000;
/** For so long a status waits that only says that something is under way. */
export const heldMs = 400;
export const sharedQueue = {
  queue: { type: 'Redis', redis: { type: 'Single', addresses: ['redis:6379'], durability: 'Fsync' } },
};

export interface Started {
  readonly controller: Controller;
  readonly states: RelayStates;
  readonly touched: string[];
  pass(): Promise<number | undefined>;
}

export class RelayWorld {
  cluster = new MemoryCluster();
  readonly clock = new FakeClock();
  readonly events: Happening[] = [];
  /** What pods say, by their addresses. */
  readonly answers = new Map<string, PodReport>();

  /** A new process, or a new term: it remembers nothing. */
  start(): Started {
    const { cluster, clock, events, answers } = this;
    const metrics = new KeptMetrics();
    const writer = { client: cluster.client, metrics, assertMayWrite: () => undefined };
    const states = new RelayStates();
    const touched: string[] = [];
    const controller = createMailRelayController(
      {
        cluster,
        apply: createApplier({ ...writer, fieldManager }),
        handoverApply: createApplier({ ...writer, fieldManager: handoverFieldManager }),
        events: { record: (_, happening) => void events.push(happening), run: () => Promise.resolve() },
        ...{ clock, metrics, states, log: quiet },
        random: () => 0.5,
        options: { desired: options, nameservers: [], dnsTargets: 'Routable' },
        touchRelay: () => undefined,
        touchPolicy: policy => void touched.push(policy),
      },
      { policyStatesOf, askPod: async ({ address }) => answers.get(address) },
    );
    const pass = async (): Promise<number | undefined> => (await controller.reconcile(key, signal))?.requeueAfterMs;
    return { controller, states, touched, pass };
  }

  putRelay(spec = {}, metadata = {}): void {
    const full = { policies: { namespaces: { from: 'All' } }, ...spec };
    this.cluster.put(mailRelays, storedRelay(full, metadata));
  }

  putPolicy(name: string, spec = {}): void {
    this.cluster.put(
      domainPolicies,
      domainPolicy({ domains: [`${name}.example.com`], ...spec }, { name, namespace: 'shop' }),
    );
  }

  putPod(ordinal: number, address: string, changes = {}): void {
    const labels = { ...selectorLabels(this.relay()), 'postroad.dev/serving': 'true' };
    const isShared = this.relay().spec.queue.type === 'Redis';
    const [kind, name] = isShared ? ['ReplicaSet', 'outbound-relay-5f7'] : ['StatefulSet', 'outbound-relay'];
    const ownerReferences = [{ apiVersion: 'apps/v1', kind, name, uid: 'workload', controller: true }];
    const metadata = { name: `${name}-${ordinal}`, namespace: 'mail', labels, ownerReferences, ...changes };
    const status = { phase: 'Running', podIP: address, conditions: [{ type: 'Ready', status: 'True' }] };
    this.cluster.put(pods, { apiVersion: 'v1', kind: 'Pod', metadata, status } as KubeObject);
  }

  relay(): MailRelay {
    const found = this.cluster.relay(key);
    assert.ok(found !== undefined);
    return found;
  }

  reasonOf(type: string): string | undefined {
    return this.relay().status?.conditions?.find(one => one.type === type)?.reason;
  }

  revision(): string {
    const config = this.cluster.at(configMaps, 'mail/outbound-relay-config');
    return config?.metadata.annotations?.[revisionAnnotation] ?? '';
  }

  statuses(): string[] {
    return this.cluster.writes.map(({ path }) => path).filter(path => path.endsWith('/status'));
  }
}

export const runs = (one: string): PodReport => ({
  ...{ revision: one, queuedRecipients: 0, openSessions: 0 },
  ...{ deliveries: 0, storeTroubles: [] },
});
