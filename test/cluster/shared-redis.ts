/** A Redis for relays of a journey, as a user would run one that keeps what it acknowledges: alone, on a volume, with a password. */
import assert from 'node:assert/strict';
import { pods } from '../../operator/cluster/kinds.ts';
import { waitUntil } from '../support/wait-until.ts';
import type { Cluster } from './cluster.ts';
import { loadPeer } from './image/load-peer.ts';

export interface SharedRedis {
  /** For spec.queue of a MailRelay. */
  readonly queue: object;
  /** What that refers to, for the relay's namespace. */
  secretIn(namespace: string): object;
  /** `CONFIG SET`. */
  set(name: string, value: string): Promise<void>;
  /** SIGKILL for the server as its pod goes by force. Resolves when another pod of it is ready. */
  killPod(): Promise<void>;
  /** Once everything is settled, what stays is what the queue knows of itself: its counters, and which pods live. */
  assertNoMailStays(): Promise<void>;
}

const namespace = 'data';
const secretName = 'redis';
const pod = 'redis-0';
const password = 'Herons-under-7-bridges';
const backLimitMs = 60_000;

/** Those that do not go by themselves. */
const stayingKeys = `
local staying = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
  if redis.call('TTL', key) < 0 then staying[#staying + 1] = key end
end
return staying`;

/** Resolves when it takes commands. */
export async function startSharedRedis(cluster: Cluster): Promise<SharedRedis> {
  const { kubectl } = cluster;
  const image = await loadPeer(cluster, 'redis');
  await cluster.createNamespace(namespace);
  await kubectl.must(['apply', '-f', '-'], JSON.stringify(objects(image)));
  await untilAnother(cluster, undefined);
  return {
    queue: {
      type: 'Redis',
      redis: {
        ...{ type: 'Single', addresses: [`redis.${namespace}:6379`], durability: 'Fsync', tls: 'Disabled' },
        credentialsSecretRef: { name: secretName },
      },
    },
    secretIn,
    async set(name, value) {
      const said = await ask(cluster, ['CONFIG', 'SET', name, value]);
      assert.equal(said.trim(), 'OK');
    },
    async killPod() {
      const before = await uidOf(cluster);
      await kubectl.must(['delete', 'pod', pod, '-n', namespace, '--force', '--grace-period=0', '--wait=false']);
      await untilAnother(cluster, before);
    },
    async assertNoMailStays() {
      const said = await ask(cluster, ['EVAL', stayingKeys, '0']);
      const keys = said.split('\n').filter(key => key.trim() !== '');
      assert.ok(keys.length > 0);
      assert.deepEqual(
        keys.filter(key => !/:(meta|owners)$/.test(key)),
        [],
        'of the mail nothing stays in Redis',
      );
    },
  };
}

async function ask({ kubectl }: Cluster, command: readonly string[]): Promise<string> {
  return await kubectl.must(['exec', pod, '-n', namespace, '--', 'redis-cli', ...command]);
}

interface RedisPod {
  readonly metadata: { readonly uid: string; readonly name: string; readonly deletionTimestamp?: string };
  readonly status: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

async function podOf({ read }: Cluster): Promise<RedisPod | undefined> {
  const { items } = await read<{ readonly items: readonly RedisPod[] }>(pods, { namespace });
  return items.find(({ metadata: { name, deletionTimestamp } }) => name === pod && deletionTimestamp === undefined);
}

async function uidOf(cluster: Cluster): Promise<string | undefined> {
  return (await podOf(cluster))?.metadata.uid;
}

async function untilAnother(cluster: Cluster, before: string | undefined): Promise<void> {
  await waitUntil(
    'Redis to be ready',
    async () => {
      const found = await podOf(cluster);
      const isReady = found?.status.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True');
      return isReady === true && found?.metadata.uid !== before;
    },
    { limitMs: backLimitMs, everyMs: 250 },
  );
}

function secretIn(where: string): object {
  const metadata = { name: secretName, namespace: where };
  return { apiVersion: 'v1', kind: 'Secret', metadata, stringData: { password } };
}

function objects(image: string): object {
  const metadata = { name: 'redis', namespace };
  const labels = { app: 'redis' };
  const settings = ['--dir', '/data', '--save', '', '--appendonly', 'yes', '--appendfsync', 'always'];
  const container = {
    ...{ name: 'redis', image, imagePullPolicy: 'IfNotPresent' },
    command: ['redis-server', ...settings, '--requirepass', '$(REDISCLI_AUTH)'],
    env: [{ name: 'REDISCLI_AUTH', valueFrom: { secretKeyRef: { name: secretName, key: 'password' } } }],
    ports: [{ containerPort: 6379 }],
    // Not before it has read its append-only file.
    readinessProbe: { exec: { command: ['redis-cli', 'DBSIZE'] }, periodSeconds: 1 },
    volumeMounts: [{ name: 'data', mountPath: '/data' }],
  };
  const claim = { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } };
  const items = [
    secretIn(namespace),
    {
      ...{ apiVersion: 'v1', kind: 'Service', metadata },
      spec: { selector: labels, ports: [{ port: 6379 }] },
    },
    {
      ...{ apiVersion: 'apps/v1', kind: 'StatefulSet', metadata },
      spec: {
        ...{ serviceName: 'redis', replicas: 1, selector: { matchLabels: labels } },
        template: {
          metadata: { labels },
          spec: { securityContext: { fsGroup: 10_003 }, containers: [container] },
        },
        volumeClaimTemplates: [{ metadata: { name: 'data' }, spec: claim }],
      },
    },
  ];
  return { apiVersion: 'v1', kind: 'List', items };
}
