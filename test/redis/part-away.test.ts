/** A Cluster of which one master is away for long, with no replica to take over: what waits in the parts of the others goes out all the while. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RelayConfigInput } from '../../relay/config.ts';
import type { NewMessage } from '../../relay/queue/queue.ts';
import { homeOf, partitionOf } from '../../relay/queue/redis/keys.ts';
import { type OpenRedisQueue, openRedisQueue } from '../../relay/queue/redis/open.ts';
import { message, to } from '../relay/queue/messages.ts';
import { programsMissing } from '../support/programs.ts';
import { durable, nodeOfSlot, type RedisCluster, type RedisPeer, startCluster } from '../support/redis.ts';
import { drained, metric, type RelayProcess, relayConfig, startRelayProcess } from '../support/relay-process.ts';
import { type ScriptedMx, startScriptedMx } from '../support/scripted-mx.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { waitUntil } from '../support/wait-until.ts';

const keyPrefix = 'away:';
const parts = 8;
const clock = { now: () => Date.now(), sleep: () => Promise.reject(new Error('nobody sleeps')) };
/** A relay that nobody told looks every five seconds; the rest is for a machine that others keep busy. */
const promptMs = 20_000;
/** Longer than an owner counts as living, and than any question waits. */
const awayMs = 20_000;
/** For a relay to be heard again, and for what it could not settle meanwhile. */
const backMs = 60_000;

interface Outage {
  readonly cluster: RedisCluster;
  readonly mx: ScriptedMx;
  readonly producer: OpenRedisQueue;
  readonly relay: RelayProcess;
  /** The node that goes away. */
  readonly victim: RedisPeer;
  readonly lost: ReadonlySet<number>;
}

const victims = {
  'stands still': {
    async leave({ victim }: Outage) {
      victim.signal('SIGSTOP');
    },
    async comeBack({ victim }: Outage) {
      victim.signal('SIGCONT');
    },
    hasLane: false,
  },
  'was killed, and had the word on who may connect': {
    leave: ({ victim }: Outage) => victim.kill(),
    comeBack: ({ victim }: Outage) => victim.start(),
    hasLane: true,
  },
};

for (const [name, { leave, comeBack, hasLane }] of Object.entries(victims)) {
  test(`while a master ${name}, mail of the other parts is claimed and delivered, and its own waits for it`, {
    skip: programsMissing('redis-server', 'redis-cli'),
  }, async () => {
    await using folder = await temporaryFolder();
    const settings = { ...durable, 'cluster-require-full-coverage': 'no' };
    await using cluster = await startCluster(folder.path, { settings });
    let release: () => void = () => undefined;
    const released = new Promise<undefined>(resolve => {
      release = () => resolve(undefined);
    });
    let hangs = false;
    await using mx = await startScriptedMx({
      extensions: ['8BITMIME'],
      async script({ event, count }) {
        // The first tells where the lane is kept; the second holds up all that stands behind it in the line.
        if (event !== 'MESSAGE' || count !== 2) return undefined;
        hangs = true;
        return await released;
      },
    });
    await using producer = await openProducer(cluster, folder.path);
    await using relay = await startRelayProcess(configuration(cluster, mx.port));
    await send(producer, 0, 'first');
    await waitUntil('the first is delivered', () => arrived(mx).length === 1, { limitMs: promptMs });
    const victim = await chooseVictim(cluster, hasLane);
    const lost = await partsOf(cluster, victim);
    const outage: Outage = { cluster, mx, producer, relay, victim, lost };
    const living = Array.from({ length: parts }, (_, part) => part).filter(part => !lost.has(part));

    // Of each part some stand in the relay's line, leased, when the master goes.
    const inLine = Array.from({ length: 3 * parts }, (_, n) => ({ part: n % parts, name: `line${n}` }));
    for (const { part, name: which } of inLine) await send(producer, part, which);
    await waitUntil('the relay has all of them', async () => leasedAre(outage, inLine.length), { limitMs: promptMs });
    await waitUntil('one is under way', () => hangs, { limitMs: promptMs });
    await leave(outage);
    const wentMs = performance.now();
    await waitUntil('its owner would count as dead', () => performance.now() - wentMs > awayMs, { limitMs: backMs });
    release();
    const ofLiving = ['first', ...inLine.filter(({ part }) => living.includes(part)).map(each => each.name)];
    await untilArrived(mx, ofLiving);

    // And what comes now, one after the other, as long again.
    let slowestMs = 0;
    for (let n = 0; n < 12; n += 1) {
      const part = living[n % living.length] ?? 0;
      const beganMs = performance.now();
      await send(outage.producer, part, `late${n}`);
      ofLiving.push(`late${n}`);
      await untilArrived(mx, [`late${n}`]);
      slowestMs = Math.max(slowestMs, performance.now() - beganMs);
    }
    assert.ok(slowestMs < promptMs, `${slowestMs} ms`);
    // One of the lost parts may have been the one under way.
    const early = arrived(mx).filter(each => !ofLiving.includes(each));
    assert.ok(early.length <= 1, `of the part that is away: ${early.join()}`);
    assert.match(relay.log(), /away|answer/);

    await comeBack(outage);
    const names = [...new Set([...ofLiving, ...inLine.map(each => each.name)])].sort();
    await untilArrived(mx, names, backMs);
    const values = await drained(relay, backMs);
    assert.equal(metric(values, 'postroad_queue_delivered_recipients_total'), names.length);
    assert.deepEqual(arrived(mx).sort(), names);
  });
}

function configuration(cluster: RedisCluster, mxPort: number): RelayConfigInput {
  return relayConfig({
    route: { type: 'SmartHost', smartHost: { host: '127.0.0.1', port: mxPort, tls: 'Disabled' } },
    delivery: { maxConnectionsPerLane: 1 },
    queue: {
      type: 'Redis',
      redis: { type: 'Cluster', addresses: addressesOf(cluster), tls: 'Disabled', keyPrefix, durability: 'Fsync' },
    },
  });
}

function addressesOf({ nodes }: RedisCluster): { host: string; port: number }[] {
  return nodes.map(({ port }) => ({ host: '127.0.0.1', port }));
}

async function openProducer(cluster: RedisCluster, folder: string): Promise<OpenRedisQueue & AsyncDisposable> {
  const opened = await openRedisQueue({
    redis: () => ({ type: 'Cluster', addresses: addressesOf(cluster), database: 0 }),
    keyPrefix,
    durability: () => ({ durability: 'Fsync', minReplicas: 0 }),
    dataDir: `${folder}/producer`,
    minFreeDiskBytes: () => 0,
  });
  return { ...opened, [Symbol.asyncDispose]: () => opened.queue.close() };
}

/** Waiting, in that part of the queue. */
async function send({ queue }: OpenRedisQueue, part: number, name: string): Promise<void> {
  const recipients = [to(`${name}@next.example`, { destination: 'smart-host/relay' })];
  const made = (): NewMessage => message(clock, { tenant: 'mail', policy: null, recipients });
  let sent = made();
  while (homeOf(sent.id, parts) !== part) sent = made();
  await queue.enqueue(sent);
}

function arrived({ messages }: ScriptedMx): string[] {
  const taken = messages.filter(({ accepted }) => accepted);
  return taken.flatMap(({ rcpts }) => rcpts.map(line => /<(.*)@/.exec(line)?.[1] ?? line));
}

async function untilArrived(mx: ScriptedMx, names: readonly string[], limitMs = promptMs): Promise<void> {
  const missing = (): string[] => {
    const there = new Set(arrived(mx));
    return names.filter(name => !there.has(name));
  };
  try {
    await waitUntil('mail arrives', () => missing().length === 0, { limitMs });
  } catch (cause) {
    throw new Error(`not delivered within ${limitMs} ms: ${missing().join()}`, { cause });
  }
}

async function leasedAre({ producer }: Outage, count: number): Promise<boolean> {
  return (await producer.queue.stats()).depth.Leased === count;
}

async function partsOf(cluster: RedisCluster, node: RedisPeer): Promise<Set<number>> {
  const found = new Set<number>();
  for (let part = 0; part < parts; part += 1) {
    const { slot } = partitionOf(keyPrefix, part, parts);
    if ((await nodeOfSlot(cluster, slot)) === node) found.add(part);
  }
  assert.ok(found.size > 0 && found.size < parts, `${[...found]}`);
  return found;
}

async function chooseVictim({ nodes }: RedisCluster, hasLane: boolean): Promise<RedisPeer> {
  for (const node of nodes) {
    const lanes = await node.ask('KEYS', `${keyPrefix}*:lane:*`);
    if (lanes.includes(':lane:') === hasLane) return node;
  }
  throw new Error('no node is as wanted');
}
