import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import type { MailRelay } from '../../../crds/mail-relay.ts';
import {
  domainPolicies,
  mailRelays,
  persistentVolumeClaims,
  pods,
  resourceOf,
} from '../../../operator/cluster/kinds.ts';
import { RelayStates } from '../../../operator/cluster/relay-states.ts';
import type { Controller } from '../../../operator/controller.ts';
import { createApplier } from '../../../operator/kube/apply.ts';
import { ApiError, ConnectionError } from '../../../operator/kube/errors.ts';
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
import { at, desiredOf, find, options, storedRelay } from './relay-input.ts';

const { signal } = new AbortController();
const key = 'mail/outbound';
const place = (apiVersion: string, kind: string) => resourceOf({ apiVersion, kind });
const configMaps = place('v1', 'ConfigMap');
const secretKind = place('v1', 'Secret');
const dayMs = 86_400_000;
/** For so long a status waits that only says that something is under way. */
const heldMs = 400;
const sharedQueue = {
  queue: { type: 'Redis', redis: { type: 'Single', addresses: ['redis:6379'], durability: 'Fsync' } },
};

interface Started {
  readonly controller: Controller;
  readonly states: RelayStates;
  readonly touched: string[];
  pass(): Promise<number | undefined>;
}

let cluster: MemoryCluster;
let clock: FakeClock;
let events: Happening[];
let answers: Map<string, PodReport>;

beforeEach(() => {
  cluster = new MemoryCluster();
  clock = new FakeClock();
  events = [];
  answers = new Map();
});

/** A new process, or a new term: it remembers nothing. */
function start(): Started {
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

function putRelay(spec = {}, metadata = {}): void {
  const full = { policies: { namespaces: { from: 'All' } }, ...spec };
  cluster.put(mailRelays, storedRelay(full, metadata));
}

function putPolicy(name: string, spec = {}): void {
  cluster.put(domainPolicies, domainPolicy({ domains: [`${name}.example.com`], ...spec }, { name, namespace: 'shop' }));
}

function putPod(ordinal: number, address: string, changes = {}): void {
  const labels = { ...selectorLabels(relay()), 'postroad.dev/serving': 'true' };
  const isShared = relay().spec.queue.type === 'Redis';
  const [kind, name] = isShared ? ['ReplicaSet', 'outbound-relay-5f7'] : ['StatefulSet', 'outbound-relay'];
  const ownerReferences = [{ apiVersion: 'apps/v1', kind, name, uid: 'workload', controller: true }];
  const metadata = { name: `${name}-${ordinal}`, namespace: 'mail', labels, ownerReferences, ...changes };
  const status = { phase: 'Running', podIP: address, conditions: [{ type: 'Ready', status: 'True' }] };
  cluster.put(pods, { apiVersion: 'v1', kind: 'Pod', metadata, status } as KubeObject);
}

function relay(): MailRelay {
  const found = cluster.relay(key);
  assert.ok(found !== undefined);
  return found;
}

function reasonOf(type: string): string | undefined {
  return relay().status?.conditions?.find(one => one.type === type)?.reason;
}

function revision(): string {
  const config = cluster.at(configMaps, 'mail/outbound-relay-config');
  return config?.metadata.annotations?.[revisionAnnotation] ?? '';
}

const statuses = (): string[] => cluster.writes.map(({ path }) => path).filter(path => path.endsWith('/status'));

const runs = (one: string): PodReport => ({ revision: one, queuedRecipients: 0, openSessions: 0 });

describe('a pass over a relay', () => {
  it('begins with the finalizer and ends with the one status that it writes', async () => {
    putRelay();
    await start().pass();
    const paths = cluster.writes.map(({ path }) => path);
    assert.match(paths[0] ?? '', /mailrelays\/outbound$/);
    assert.deepEqual(relay().metadata.finalizers, ['postroad.dev/drain']);
    assert.deepEqual(
      paths.filter(path => path.endsWith('/status')),
      paths.slice(-1),
    );
  });

  it('says Unknown of everything where the first one fails before it knows anything', async () => {
    putRelay();
    cluster.onRequest = ({ path }) => {
      if (path.endsWith('/outbound-relay-keys')) throw new ApiError('test', { code: 500, reason: 'InternalError' });
    };
    await assert.rejects(start().pass(), ApiError);
    const conditions = at(cluster.writes.at(-1)?.body, 'status', 'conditions') as { status: string }[];
    assert.deepEqual(new Set(conditions.map(({ status }) => status)), new Set(['Unknown']));
  });

  it('stores keys before it makes anything from them, files before the configuration, the configuration before the pods look', async () => {
    putRelay({ replicas: 1 });
    putPod(0, '10.0.0.1');
    await start().pass();
    const order = cluster.writes.map(({ path }) => path);
    const index = (name: string): number => order.findIndex(path => path.endsWith(name));
    const steps = [
      '/outbound-relay-keys',
      '/outbound-relay-files-0',
      '/outbound-relay-config',
      '/pods/outbound-relay-0',
    ];
    const places = steps.map(index);
    assert.ok(
      places.every(one => one >= 0),
      order.join('\n'),
    );
    assert.deepEqual(
      places.toSorted((a, b) => a - b),
      places,
    );
  });

  it('over an unchanged world asks nothing, also of a process that remembers nothing', async () => {
    putRelay();
    putPolicy('shop');
    const first = start();
    await first.pass();
    await first.pass();
    const count = cluster.asked.length;
    await first.pass();
    await start().pass();
    assert.deepEqual(cluster.asked.slice(count), []);
  });

  it('that ends at any request leads to the same in the end', async () => {
    putRelay();
    putPolicy('shop');
    await start().pass();
    const whole = cluster.asked.length;
    const written = cluster.writes.map(({ path }) => path);
    assert.ok(whole > 12, String(whole));
    for (let last = 1; last <= whole; last++) {
      cluster = new MemoryCluster();
      putRelay();
      putPolicy('shop');
      cluster.onRequest = () => {
        if (cluster.asked.length === last) throw new ConnectionError('test', 'Unreachable');
        checkOrder();
      };
      await start()
        .pass()
        .catch((error: unknown) => assert.ok(error instanceof ConnectionError));
      const authority = cluster.at(secretKind, 'mail/outbound-relay-keys');
      await start().pass();
      const missing = written.filter(path => !cluster.writes.some(one => one.path === path));
      assert.deepEqual(missing, [], `ended at request ${last}`);
      if (authority !== undefined)
        assert.deepEqual(at(cluster.at(secretKind, 'mail/outbound-relay-keys'), 'data'), at(authority, 'data'));
    }
  });

  /** What a configuration names is there before it is. */
  function checkOrder(): void {
    const text = at(cluster.at(configMaps, 'mail/outbound-relay-config'), 'data', 'relay.json');
    if (typeof text !== 'string') return;
    const files = Object.keys((at(cluster.at(secretKind, 'mail/outbound-relay-files-0'), 'data') ?? {}) as object);
    for (const [, name] of text.matchAll(/\/etc\/postroad\/([a-z]+-[0-9a-f]{16}\.[a-z]+)/g))
      assert.ok(files.includes(name ?? ''), String(name));
  }

  it('renews what is due, with an Event for each step but the first, and asks to be called when something will be', async () => {
    putRelay();
    const { pass } = start();
    await pass();
    assert.deepEqual(events, [], 'what comes with a new relay is no news');
    await clock.advance(59 * dayMs);
    await pass();
    assert.deepEqual(events, []);
    await clock.advance(heldMs);
    const due = (await pass()) ?? 0;
    assert.ok(due <= 6 * 3_600_000 && due >= 1000, String(due));
    await clock.advance(dayMs);
    await pass();
    assert.deepEqual(
      events.map(({ reason }) => reason),
      ['CertificateDue'],
    );
  });

  it('says in one status that a new configuration is wanted and runs, where the pods are quick', async () => {
    putRelay();
    putPod(0, '10.0.0.1');
    const { pass } = start();
    answers.set('10.0.0.1', runs(''));
    await pass();
    answers.set('10.0.0.1', runs(revision()));
    await clock.advance(100);
    await pass();
    assert.equal(reasonOf('Programmed'), 'ConfigurationApplied');
    putPolicy('shop');
    cluster.asked.length = 0;
    assert.equal(await pass(), heldMs);
    assert.deepEqual(statuses(), [], 'what is under way is told a moment later');
    answers.set('10.0.0.1', runs(revision()));
    await clock.advance(100);
    await pass();
    assert.equal(statuses().length, 1);
    assert.equal(reasonOf('Programmed'), 'ConfigurationApplied');
    assert.equal(relay().status?.appliedRevision, revision());
  });

  it('says that a configuration is awaited when the pods take their time', async () => {
    putRelay();
    putPod(0, '10.0.0.1');
    const { pass } = start();
    await pass();
    answers.set('10.0.0.1', runs(revision()));
    await clock.advance(100);
    await pass();
    putPolicy('shop');
    await pass();
    await clock.advance(heldMs);
    await pass();
    assert.equal(reasonOf('Programmed'), 'ConfigurationPending');
  });

  it('leaves a paused relay as it is, from the start', async () => {
    putRelay({ reconciliation: 'Paused' });
    await start().pass();
    assert.deepEqual(new Set(cluster.writes.map(({ path }) => path.replace(/.*\//, ''))), new Set(['status']));
    assert.equal(reasonOf('Paused'), 'Paused');
  });

  it('says of a relay without pods that it is parked, not that something is awaited', async () => {
    putRelay({ replicas: 0 });
    putPolicy('shop');
    const { pass, states } = start();
    await pass();
    assert.deepEqual([reasonOf('Ready'), reasonOf('Programmed')], ['Parked', 'ConfigurationApplied']);
    const { rendered, running } = states.get('mail/outbound') ?? {};
    assert.deepEqual([...(running?.keys() ?? [])], [...(rendered?.keys() ?? [])], 'of its policies as well');
    assert.equal(running?.size, 1);
  });

  it('makes nothing for a relay with a shared queue, which its pods do not have yet: mail would be gone with the pod', async () => {
    putRelay(sharedQueue);
    putPolicy('shop');
    const { pass } = start();
    await pass();
    await pass();
    assert.deepEqual(new Set(cluster.writes.map(({ path }) => path.replace(/.*\//, ''))), new Set(['status']));
    const accepted = relay().status?.conditions?.find(({ type }) => type === 'Accepted');
    assert.equal(accepted?.status, 'False');
    assert.equal(accepted?.reason, 'NotSupported');
    assert.equal(accepted?.message, 'spec.queue.type must be Volume: Redis is not supported yet');
    assert.equal(reasonOf('Ready'), 'NotSupported');
    assert.equal(reasonOf('Progressing'), 'NotSupported');
  });

  it('leaves what such a relay has as it is, and drains it when it goes', async () => {
    putRelay(sharedQueue, { finalizers: ['postroad.dev/drain'] });
    const deployments = place('apps/v1', 'Deployment');
    const deployment = find(desiredOf(relay()), 'Deployment');
    cluster.put(deployments, deployment as KubeObject);
    const before = cluster.at(deployments, 'mail/outbound-relay');
    const { pass } = start();
    await pass();
    assert.deepEqual(cluster.at(deployments, 'mail/outbound-relay'), before);
    const finalizers = ['postroad.dev/drain'];
    putRelay(sharedQueue, { finalizers, deletionTimestamp: new Date(clock.now()).toISOString() });
    putPod(0, '10.0.0.1');
    await pass();
    assert.deepEqual(relay().metadata.finalizers, finalizers, 'its pod may hold mail');
    assert.equal(reasonOf('Draining'), 'Draining');
  });

  it('of one that goes does not wait for pods that only carry its labels', async () => {
    const finalizers = ['postroad.dev/drain'];
    putRelay({}, { finalizers });
    putPod(0, '10.0.0.1');
    const owner = { apiVersion: 'apps/v1', kind: 'StatefulSet', uid: 'x', controller: true };
    putPod(1, '10.0.0.2', { name: 'stranger', ownerReferences: undefined });
    putPod(2, '10.0.0.3', { name: 'outbound-relay-2', ownerReferences: [{ ...owner, name: 'other' }] });
    putPod(3, '10.0.0.4', { name: 'outbound-relay-x', ownerReferences: [{ ...owner, name: 'outbound-relay' }] });
    putRelay({}, { finalizers, deletionTimestamp: new Date(clock.now()).toISOString() });
    const { pass } = start();
    await pass();
    assert.deepEqual(relay().metadata.finalizers, finalizers, 'its own pod may hold mail');
    cluster.remove(pods, 'mail/outbound-relay-0');
    await pass();
    assert.equal(cluster.relay(key)?.metadata.finalizers?.length ?? 0, 0);
    const touched = cluster.writes.filter(({ path }) => path.includes('/pods/'));
    assert.deepEqual(
      touched.filter(({ path }) => !path.endsWith('/pods/outbound-relay-0')),
      [],
    );
  });

  it('says of a Secret that it may not be read', async () => {
    putRelay({ clients: { usersSecretRef: { name: 'users' } } });
    cluster.secrets.set('mail/users', 'Forbidden');
    await start().pass();
    assert.equal(reasonOf('ResolvedRefs'), 'SecretNotReadable');
  });
});

describe('what a pass meets', () => {
  const theirs = { name: 'outbound-ca', namespace: 'mail' };
  const reads = (): number =>
    cluster.asked.filter(({ method, path }) => method === 'GET' && path.endsWith('-ca')).length;

  it('somebody else’s object: left alone, asked for once, and made once the name is free', async () => {
    putRelay();
    cluster.put(configMaps, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: theirs,
      data: { theirs: '1' },
    } as KubeObject);
    const started = start();
    await started.pass();
    await started.pass();
    assert.equal(reasonOf('Accepted'), 'NameTaken');
    assert.equal(reads(), 1);
    assert.deepEqual(at(cluster.at(configMaps, 'mail/outbound-ca'), 'data'), { theirs: '1' });
    cluster.remove(configMaps, 'mail/outbound-ca');
    const dueMs = (await started.pass()) ?? 0;
    assert.ok(dueMs <= 60_000, String(dueMs));
    await clock.advance(60_000);
    await started.pass();
    assert.equal(reasonOf('Accepted'), 'Accepted');
    assert.equal(
      cluster.at(configMaps, 'mail/outbound-ca')?.metadata.labels?.['app.kubernetes.io/instance'],
      'outbound',
    );
  });

  it('somebody else’s object under a name that is no longer wanted: no matter', async () => {
    putRelay();
    const metadata = { name: 'outbound-relay', namespace: 'mail' };
    cluster.put(place('networking.k8s.io/v1', 'NetworkPolicy'), {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata,
    });
    const started = start();
    await started.pass();
    assert.equal(reasonOf('Accepted'), 'NameTaken');
    cluster.put(mailRelays, { ...relay(), spec: { ...relay().spec, networkPolicy: 'Disabled' } } as KubeObject);
    await started.pass();
    assert.equal(reasonOf('Accepted'), 'Accepted');
  });

  it('an object of ours by its labels, but of another relay: left alone as well', async () => {
    putRelay();
    await start().pass();
    const before = cluster.at(configMaps, 'mail/outbound-ca');
    putRelay({}, { uid: '00000000-0000-4000-8000-000000000002' });
    await start().pass();
    assert.equal(reasonOf('Accepted'), 'NameTaken');
    assert.deepEqual(cluster.at(configMaps, 'mail/outbound-ca'), before);
  });

  it('what a relay of its name left behind: the names are its own as soon as they are free', async () => {
    putRelay();
    await start().pass();
    const left = cluster.owned();
    putRelay({}, { uid: '00000000-0000-4000-8000-000000000002' });
    const started = start();
    await started.pass();
    assert.equal(reasonOf('Accepted'), 'NameTaken');
    for (const { apiVersion, kind, metadata } of left)
      cluster.remove(place(apiVersion, kind), `${metadata.namespace}/${metadata.name}`);
    await started.pass();
    assert.equal(reasonOf('Accepted'), 'Accepted');
    assert.deepEqual(
      cluster.owned().map(({ metadata }) => metadata.ownerReferences?.[0]?.uid),
      left.map(() => '00000000-0000-4000-8000-000000000002'),
    );
  });

  it('a name of its keys that is taken: nothing is made that would need them', async () => {
    putRelay();
    const metadata = { name: 'outbound-relay-keys', namespace: 'mail' };
    cluster.put(secretKind, { apiVersion: 'v1', kind: 'Secret', metadata });
    await start().pass();
    assert.equal(reasonOf('Accepted'), 'NameTaken');
    assert.equal(cluster.at(configMaps, 'mail/outbound-relay-config'), undefined);
  });

  for (const [code, reason] of [
    [429, 'TooManyRequests'],
    [500, 'InternalError'],
  ] as const) {
    it(`${code}: the pass fails, and the next one goes on`, async () => {
      putRelay();
      const started = start();
      cluster.onRequest = ({ path }) => {
        if (path.endsWith('/outbound-relay-config')) throw new ApiError('test', { code, reason });
      };
      await assert.rejects(started.pass(), ApiError);
      assert.equal(reasonOf('Ready'), 'Pending', 'whoever waits for a condition finds it all the same');
      cluster.onRequest = () => undefined;
      await started.pass();
      assert.ok(revision() !== '');
    });
  }

  it('409: it comes again in a moment, and nobody is told of an error', async () => {
    putRelay();
    const started = start();
    cluster.onRequest = ({ path, method }) => {
      if (path.endsWith('/outbound-relay-keys') && method === 'PATCH')
        throw new ApiError('test', { code: 409, reason: 'Conflict' });
    };
    assert.equal(await started.pass(), 200);
  });

  it('a refusal: what comes before is done, the status is written, and the pass fails', async () => {
    putRelay();
    const started = start();
    cluster.onRequest = ({ path, method }) => {
      if (path.includes('/prometheusrules/') && method === 'PATCH')
        throw new ApiError('test', { code: 403, reason: 'Forbidden' });
    };
    await assert.rejects(started.pass(), ApiError);
    assert.equal(reasonOf('CertificateReady'), 'CertificateIssued');
    assert.ok(revision() !== '');
  });

  it('a volume that may not grow: the others are tried, nothing fails, and it is looked at again in ten minutes', async () => {
    putRelay({ replicas: 2 });
    const labels = selectorLabels(relay());
    for (const ordinal of [0, 1]) {
      const metadata = { name: `queue-outbound-relay-${ordinal}`, namespace: 'mail', labels };
      const spec = { resources: { requests: { storage: '1Mi' } } };
      cluster.put(persistentVolumeClaims, {
        apiVersion: 'v1',
        kind: 'PersistentVolumeClaim',
        metadata,
        spec,
      } as KubeObject);
    }
    const tried: string[] = [];
    cluster.onRequest = ({ path }) => {
      if (!path.includes('/persistentvolumeclaims/')) return;
      tried.push(path.slice(path.lastIndexOf('/') + 1));
      throw new ApiError('test', { code: 403, reason: 'Forbidden' });
    };
    const started = start();
    assert.equal(await started.pass(), 600_000);
    assert.deepEqual(tried.sort(), ['queue-outbound-relay-0', 'queue-outbound-relay-1']);
    cluster.onRequest = ({ path }) => {
      if (path.includes('/persistentvolumeclaims/'))
        throw new ApiError('test', { code: 503, reason: 'ServiceUnavailable' });
    };
    await assert.rejects(started.pass(), ApiError, 'trouble of the server is no refusal');
  });
});

describe('a volume', () => {
  const emptyWord = { exitCode: 0, message: '{"queue":"Empty"}' };
  const claimName = 'queue-outbound-relay-0';
  const isThere = (): boolean => cluster.claimsOf(key).some(({ metadata }) => metadata.name === claimName);

  function putClaim(): void {
    const metadata = { name: claimName, namespace: 'mail', labels: selectorLabels(relay()) };
    const spec = { resources: { requests: { storage: '1Mi' } } };
    const kind = 'PersistentVolumeClaim';
    cluster.put(persistentVolumeClaims, { apiVersion: 'v1', kind, metadata, spec } as KubeObject);
  }

  /** Its pod ends with an empty queue, and its object goes. */
  function endPod({ controller }: Started): void {
    putPod(0, '10.0.0.1', { deletionTimestamp: new Date(clock.now()).toISOString() });
    const pod = cluster.podsOf(key)[0];
    assert.ok(pod !== undefined);
    const containerStatuses = [{ name: 'relay', state: { terminated: emptyWord } }];
    const object = { ...pod, status: { phase: 'Succeeded', containerStatuses } } as KubeObject;
    cluster.remove(pods, 'mail/outbound-relay-0');
    const change = { about: 'Pod', type: 'deleted', key: 'mail/outbound-relay-0', object, previous: pod } as const;
    controller.onChange({ ...change, isInitial: false });
  }

  /** Whatever it holds: nothing is asked. */
  function deleteRelay(): void {
    const { metadata } = relay();
    const deletionTimestamp = new Date(clock.now()).toISOString();
    const annotations = { 'postroad.dev/skip-drain': 'true' };
    cluster.put(mailRelays, { ...relay(), metadata: { ...metadata, deletionTimestamp, annotations } } as KubeObject);
  }

  async function passes({ pass }: Started): Promise<void> {
    for (let count = 0; count < 3 && cluster.relay(key) !== undefined; count++) await pass();
    assert.equal(cluster.relay(key), undefined);
  }

  it('goes with its relay when the last word of its pod was that nothing is in it', async () => {
    putRelay({ replicas: 1 });
    putPod(0, '10.0.0.1');
    putClaim();
    const started = start();
    await started.pass();
    deleteRelay();
    await started.pass();
    endPod(started);
    await passes(started);
    assert.equal(isThere(), false);
  });

  it('stays where that pod was still wanted: another one of its name may be there, and not be seen yet', async () => {
    putRelay({ replicas: 1 });
    putPod(0, '10.0.0.1');
    putClaim();
    const started = start();
    await started.pass();
    endPod(started);
    deleteRelay();
    await passes(started);
    assert.equal(isThere(), true);
    assert.deepEqual(events.at(-1)?.reason, 'VolumesKept');
  });
});

describe('what pods run', () => {
  async function programmed(started: Started): Promise<void> {
    await started.pass();
    await started.pass();
    answers.set('10.0.0.1', runs(revision()));
    await clock.advance(60_000);
    await started.pass();
  }

  it('is asked for until every ready pod runs the revision, and then no more', async () => {
    putRelay({ replicas: 1 });
    putPod(0, '10.0.0.1');
    const started = start();
    await started.pass();
    assert.equal(reasonOf('Programmed'), 'ConfigurationPending');
    await programmed(started);
    assert.equal(reasonOf('Programmed'), 'ConfigurationApplied');
    assert.equal(clock.sleepers, 0, 'nobody is asked any more');
  });

  it('is older although they were told: they are told again, three times at most, by whichever process leads', async () => {
    putRelay({ replicas: 1 });
    putPod(0, '10.0.0.1');
    answers.set('10.0.0.1', runs('older'));
    const startMs = clock.now();
    const told: (readonly [seconds: number, nudges: unknown])[] = [];
    cluster.onRequest = ({ path, body }) => {
      const nudges = at(body, 'metadata', 'annotations', 'postroad.dev/nudges');
      if (path.includes('/pods/')) told.push([Math.round((clock.now() - startMs) / 1000), nudges]);
    };
    const passes = async (started: Started): Promise<void> => {
      for (let second = 0; second < 60; second++) {
        await started.pass();
        await clock.advance(1000);
      }
    };
    const started = start();
    await passes(started);
    assert.deepEqual(told.splice(0), [
      [0, undefined],
      [1, '1'],
      [3, '2'],
      [8, '3'],
    ]);
    await passes(start());
    assert.deepEqual(told.splice(0), [], 'the pods say how often they were told');
    putPolicy('shop');
    await passes(started);
    assert.deepEqual(
      told.splice(0).map(([, nudges]) => nudges),
      [undefined, '1', '2', '3'],
      'of a new revision they are told anew',
    );
    answers.set('10.0.0.1', runs(revision()));
    await passes(started);
    assert.deepEqual(told, []);
    assert.equal(reasonOf('Programmed'), 'ConfigurationApplied');
  });

  it('is told to the one policy that was changed, and to no other', async () => {
    putRelay({ replicas: 1 });
    putPod(0, '10.0.0.1');
    putPolicy('shop');
    putPolicy('bank');
    const started = start();
    await programmed(started);
    const before = started.states.get(key);
    assert.deepEqual([...(before?.running ?? [])], [...(before?.rendered ?? [])]);
    started.touched.length = 0;
    putPolicy('shop', { tls: { policy: 'Required' } });
    await started.pass();
    assert.deepEqual(started.touched, ['shop/shop']);
    const now = started.states.get(key);
    assert.notEqual(now?.rendered.get('shop/shop')?.digest, now?.running?.get('shop/shop')?.digest);
    assert.equal(now?.rendered.get('shop/bank')?.digest, now?.running?.get('shop/bank')?.digest);
    await programmed(started);
    assert.deepEqual([...(started.states.get(key)?.running ?? [])], [...(started.states.get(key)?.rendered ?? [])]);
  });

  it('can go on until what pods hold is delivered: what they start with is made again while the relay goes', async () => {
    putRelay({ replicas: 2 });
    const started = start();
    await started.pass();
    await started.pass();
    const accounts = place('v1', 'ServiceAccount');
    cluster.remove(accounts, 'mail/outbound-relay');
    cluster.remove(configMaps, 'mail/outbound-relay-config');
    cluster.remove(configMaps, 'mail/outbound-ca');
    const { finalizers } = relay().metadata;
    putRelay({ replicas: 2 }, { finalizers, deletionTimestamp: new Date(clock.now()).toISOString() });
    const againMs = await start().pass();
    assert.ok(cluster.at(accounts, 'mail/outbound-relay') !== undefined, 'without it there are no pods');
    assert.ok(cluster.at(configMaps, 'mail/outbound-relay-config') !== undefined);
    assert.equal(cluster.at(configMaps, 'mail/outbound-ca'), undefined, 'no pod needs it');
    assert.equal(reasonOf('Draining'), 'Draining');
    assert.equal(againMs, relay().spec.shutdown.drainTimeoutSeconds * 1000, 'and no longer than it may take');
  });

  it('is less by the keys that must stop, also while nothing else may change; a new process knows it too', async () => {
    putRelay({ replicas: 1, clients: { usersSecretRef: { name: 'users' } } });
    cluster.secrets.set('mail/users', new Map([['demo', Buffer.from('a password')]]));
    putPod(0, '10.0.0.1');
    putPolicy('shop');
    putPolicy('bank');
    const started = start();
    await programmed(started);
    const before = revision();
    cluster.secrets.set('mail/users', 'Missing');
    cluster.remove(domainPolicies, 'shop/shop');
    await started.pass();
    assert.equal(reasonOf('Programmed'), 'ConfigurationRejected');
    assert.notEqual(revision(), before);
    const runningOf = ({ states }: Started, policy: string) => states.get(key)?.running?.get(policy)?.signing;
    assert.deepEqual(runningOf(started, 'shop/shop'), ['one'], 'the pod has not said that it stopped');
    await programmed(started);
    assert.deepEqual(runningOf(started, 'shop/shop'), []);
    assert.deepEqual(runningOf(started, 'shop/bank'), ['one']);
    const fresh = start();
    await programmed(fresh);
    assert.deepEqual([...(fresh.states.get(key)?.running ?? [])], [...(started.states.get(key)?.running ?? [])]);
  });

  it('is nothing while there is no configuration: no policy is told that its part runs', async () => {
    putRelay({ replicas: 1, clients: { usersSecretRef: { name: 'users' } } });
    putPolicy('shop');
    const started = start();
    await started.pass();
    assert.equal(reasonOf('Programmed'), 'ConfigurationRejected');
    assert.ok(started.states.get(key)?.rendered.has('shop/shop'));
    assert.equal(started.states.get(key)?.running, undefined);
  });

  it('is believed of a relay that was programmed, until its pods were asked in vain', async () => {
    putRelay({ replicas: 1 });
    putPod(0, '10.0.0.1');
    await programmed(start());
    answers.clear();
    const next = start();
    await next.pass();
    assert.equal(reasonOf('Programmed'), 'ConfigurationApplied');
    await clock.advance(60_000);
    await next.pass();
    assert.equal(reasonOf('Programmed'), 'ConfigurationPending');
  });
});
