import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { persistentVolumeClaims, resourceOf } from '../../operator/cluster/kinds.ts';
import { listAll } from '../../operator/kube/list.ts';
import type { KubeObject } from '../../operator/kube/object.ts';
import { commandsIn } from '../cluster/documented.ts';
import { verifyWithMailauth } from '../support/dkim-verifiers.ts';
import { programsMissing } from '../support/programs.ts';
import { waitUntil } from '../support/wait-until.ts';
import { never } from './api-world.ts';
import { type MoveWorld, type Store, startMoveWorld } from './move-world.ts';
import { numberOf } from './rotation-world.ts';

const page = readFileSync(join(import.meta.dirname, '../../docs/how-to/move-between-stores.md'), 'utf8');
const services = resourceOf({ apiVersion: 'v1', kind: 'Service' });
const limitMs = 60_000;

const skip = programsMissing('redis-server', 'redis-cli', 'jq');

for (const [from, to] of [
  ['Volume', 'Redis'],
  ['Redis', 'Volume'],
] as const) {
  test(
    `a relay that moves from ${from} to ${to} as the page says refuses no message, loses none, doubles none, and sends none unsigned or in the clear`,
    { skip },
    t => move(t, from, to),
  );
}

async function move(t: TestContext, from: Store, to: Store): Promise<void> {
  await using world = await startMoveWorld(from, page);
  await untilSigned(world, 'outbound', 'shop', ['shop']);
  await world.sendThrough('outbound');
  await untilArrived(world, 10);
  world.isDown = true;
  await untilSent(world, 10);

  await world.follow('kubectl -n mail get mailrelay outbound -o json', command =>
    command.replace(/--argjson queue '[^']*'/, `--argjson queue '${JSON.stringify(world.queue(to))}'`),
  );
  await world.follow('kubectl -n mail wait mailrelay/outbound-2');
  await world.follow('kubectl get domainpolicy -A');
  await untilSigned(world, 'outbound-2', 'shop-2', ['shop', 'shop-2']);
  await world.follow('kubectl -n shop wait domainpolicy/shop-2');

  await untilSent(world, 10);
  await world.sendThrough('outbound-2');
  await untilSent(world, 10);
  const moved = await waitingAt(world, 'outbound');
  assert.ok(moved >= 10, `${moved} wait at the first relay`);
  await world.follow('kubectl -n mail patch mailrelay outbound');
  await world.follow('kubectl -n mail delete mailrelay outbound');
  await waitUntil(
    'the first relay drains',
    async () => conditionOf(await world.relay('outbound'), 'Draining') === 'Draining',
    { limitMs },
  );
  // An hour is what it would have had by itself.
  world.clock.jump(2 * 3600_000);
  await world.follow('kubectl -n mail create service externalname outbound');
  await untilSent(world, 10);
  assert.equal(await waitingAt(world, 'outbound'), moved);
  assert.equal(world.sink.messages.length, new Set(arrived(world)).size);

  world.isDown = false;
  const goneMs = performance.now();
  await world.follow('kubectl -n mail wait mailrelay/outbound --for=delete');
  t.diagnostic(`gone ${Math.round(performance.now() - goneMs)} ms after the next hop was back`);
  await world.follow('kubectl -n shop delete domainpolicy shop');
  await untilSent(world, 10);
  await world.stopSending();
  await waitUntil('all to arrive', () => arrived(world).length >= world.sent.length, { limitMs });
  await assertAllWell(t, world);
  await assertNothingLeft(world, from);
  const notRun = commandsIn(page).filter(command => !world.followed.has(command));
  assert.ok(
    notRun.length === 1 && notRun[0]?.startsWith('sum('),
    `a query and nothing else was not run: ${notRun.join('\n')}`,
  );
  const service = await world.api.get<KubeObject & { spec: { type: string } }>(services, {
    ...{ namespace: 'mail', name: 'outbound' },
  });
  assert.equal(service.spec.type, 'ExternalName', 'what took the free name is left alone');
}

type Relay = Awaited<ReturnType<MoveWorld['relay']>>;

function conditionOf(relay: Relay, type: string): string | undefined {
  return relay?.status?.conditions?.find(one => one.type === type)?.reason;
}

/** The policy's key signs at a relay that is ready: its records are published, and time goes by until they are looked at. */
async function untilSigned(world: MoveWorld, relay: string, policy: string, all: readonly string[]): Promise<void> {
  await waitUntil(`${policy} has a key`, async () => (await world.policy(policy)).status?.dkim?.keys?.length === 1, {
    limitMs,
  });
  await world.publish(...all);
  await waitUntil(
    `${relay} and ${policy} to be ready`,
    async () => {
      world.clock.jump(2000);
      const { conditions = [] } = (await world.policy(policy)).status ?? {};
      const isReady = conditions.some(({ type, status }) => type === 'Ready' && status === 'True');
      return isReady && conditionOf(await world.relay(relay), 'Ready') === 'Ready';
    },
    { limitMs, everyMs: 200 },
  );
}

async function untilSent(world: MoveWorld, more: number): Promise<void> {
  const from = world.sent.length;
  await waitUntil(`${more} more to be sent`, () => world.sent.length >= from + more, { limitMs });
}

async function untilArrived(world: MoveWorld, count: number): Promise<void> {
  await waitUntil(`${count} to arrive`, () => arrived(world).length >= count, { limitMs });
}

function arrived({ sink }: MoveWorld): number[] {
  return sink.messages.filter(({ accepted }) => accepted).map(({ content }) => numberOf(content));
}

/** Recipients in the queue of a relay: of Redis, each pod sees all of it. */
async function waitingAt(world: MoveWorld, name: string): Promise<number> {
  const pods = world.node.pods().filter(({ key }) => key.startsWith(`mail/${name}-relay-`));
  const depths = await Promise.all(
    pods.map(async ({ address }) => {
      const text = await (await fetch(`http://${address}:8080/metrics`, { headers: { connection: 'close' } })).text();
      const values = [...text.matchAll(/^postroad_queue_recipients\{[^}]*\} (\d+)$/gm)].map(([, n]) => Number(n));
      return values.reduce((sum, value) => sum + value, 0);
    }),
  );
  const isShared = (await world.relay(name))?.spec.queue.type === 'Redis';
  return isShared ? Math.max(...depths) : depths.reduce((sum, depth) => sum + depth, 0);
}

async function assertAllWell(t: TestContext, world: MoveWorld): Promise<void> {
  const { sent, sink, zone } = world;
  assert.deepEqual([...new Set(sent)], ['accepted']);
  assert.deepEqual(
    arrived(world).sort((one, other) => one - other),
    sent.map((_, number) => number),
    'each arrived, and once',
  );
  const all = sink.messages.filter(({ accepted }) => accepted);
  assert.deepEqual(
    all.filter(({ tls }) => !tls),
    [],
  );
  const verdicts = await Promise.all(all.map(({ content }) => verifyWithMailauth(content, zone.records)));
  assert.deepEqual(
    verdicts.filter(verdict => Object.values(verdict).join() !== 'true'),
    [],
    'each has one signature, and it holds',
  );
  const keys = new Set(verdicts.flatMap(verdict => Object.keys(verdict)));
  assert.equal(keys.size, 2, 'each relay signed with its own');
  t.diagnostic(
    `${sent.length} sent and arrived once, each over TLS with one signature that holds, of ${keys.size} keys`,
  );
}

async function assertNothingLeft(world: MoveWorld, from: Store): Promise<void> {
  if (from === 'Redis') {
    const keys = (await world.redis.ask('--scan', '--pattern', 'postroad:mail:outbound:*')).split('\n');
    const times = await Promise.all(keys.map(async key => [key, Number(await world.redis.ask('PTTL', key))] as const));
    const lasting = times.filter(([, leftMs]) => leftMs === -1).map(([key]) => key);
    assert.deepEqual(lasting, ['postroad:mail:outbound:{0.0}:meta'], 'what it has counted');
    return;
  }
  const claims = await waitUntil('the volumes of the first to go', async () => {
    const found = await listAll<KubeObject>({
      ...{ client: world.api.client, resource: persistentVolumeClaims, namespace: 'mail', signal: never },
      ...{ labelSelector: undefined, fieldSelector: undefined, pageSize: 100, most: 100 },
    });
    return found.some(({ metadata }) => metadata.name.startsWith('queue-outbound-relay-')) ? undefined : found;
  });
  assert.ok(claims.every(({ metadata }) => !metadata.name.startsWith('queue-outbound-relay-')));
}
