/** Three relays on one queue and one next hop, which must not tell them from one. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { RelayConfigInput } from '../../relay/config.ts';
import { ownerTtlMs } from '../../relay/queue/redis/owner.ts';
import { programsMissing } from '../support/programs.ts';
import { RawClient } from '../support/raw-client.ts';
import { queueIn, type RedisPeer, startRedis } from '../support/redis.ts';
import { drained, type RelayProcess, relayConfig, startRelayProcess } from '../support/relay-process.ts';
import { type MxAction, type MxTurn, type ScriptedMx, startScriptedMx } from '../support/scripted-mx.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { waitUntil } from '../support/wait-until.ts';

const skip = programsMissing('redis-server', 'redis-cli');

interface World extends AsyncDisposable {
  readonly redis: RedisPeer;
  readonly mx: ScriptedMx;
  readonly relays: readonly [RelayProcess, RelayProcess, RelayProcess];
  /** Most connections that were open at a time. */
  peak(): number;
  /** When each was made. */
  readonly connections: readonly number[];
}

interface Hop {
  readonly maxConnectionsPerLane: number;
  readonly retry?: RelayConfigInput['retry'];
  script?(turn: MxTurn): MxAction | undefined | Promise<MxAction | undefined>;
}

async function startWorld({ maxConnectionsPerLane, retry, script = () => undefined }: Hop): Promise<World> {
  const stack = new AsyncDisposableStack();
  try {
    const folder = stack.use(await temporaryFolder());
    const redis = stack.use(await startRedis(folder.path));
    let peak = 0;
    const connections: number[] = [];
    const mx = stack.use(
      await startScriptedMx({
        extensions: ['8BITMIME'],
        script(turn) {
          if (turn.event === 'GREETING') {
            connections.push(performance.now());
            peak = Math.max(peak, mx.open);
          }
          return script(turn);
        },
      }),
    );
    const base = relayConfig({
      route: { type: 'SmartHost', smartHost: { host: '127.0.0.1', port: mx.port, tls: 'Disabled' } },
      delivery: { maxConnectionsPerLane },
      queue: queueIn({ port: redis.port }, 'lanes:'),
      ...(retry === undefined ? {} : { retry }),
    });
    const start = async (hostname: string): Promise<RelayProcess> =>
      stack.use(await startRelayProcess({ ...base, hostname }));
    const relays = [await start('one.test'), await start('two.test'), await start('three.test')] as const;
    return { redis, mx, relays, connections, peak: () => peak, [Symbol.asyncDispose]: () => stack.disposeAsync() };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

async function send(relay: RelayProcess, count: number, name: string): Promise<string[]> {
  const client = await RawClient.open(relay.port());
  const recipients = Array.from({ length: count }, (_, n) => `${name}${n}@next.example`);
  for (const recipient of recipients) {
    const content = Buffer.from(`From: a@example.com\r\nSubject: ${recipient}\r\n\r\nhello\r\n`);
    const { outcome } = await client.send({ reversePath: 'a@example.com', recipients: [recipient], content });
    assert.equal(outcome, 'accepted');
  }
  await client.quit();
  return recipients;
}

function taken({ mx }: World): string[] {
  const accepted = mx.messages.filter(({ accepted: was }) => was);
  return accepted.flatMap(({ rcpts }) => rcpts.map(line => /<(.*)>/.exec(line)?.[1] ?? line)).sort();
}

/** Who made connections. */
function clients({ mx }: World): string[] {
  const names = mx.commands.map(line => /^\d+ EHLO (.*)$/.exec(line)?.[1]).filter(name => name !== undefined);
  return [...new Set(names)].sort();
}

/** Long enough for mail to wait for a connection. */
async function slowly({ event }: MxTurn): Promise<undefined> {
  if (event === 'MESSAGE') await delay(100);
}

describe('Three relays on one queue', { skip }, () => {
  test('have no more connections to a next hop than one would, and all of those when they all have mail for it', async t => {
    await using world = await startWorld({ maxConnectionsPerLane: 4, script: slowly });
    const sent = await Promise.all(world.relays.map((relay, n) => send(relay, 60, `r${n}-`)));
    await drained(world.relays[0]);
    t.diagnostic(`${world.peak()} connections at most, ${world.connections.length} in all`);
    assert.deepEqual(taken(world), sent.flat().sort());
    assert.equal(world.peak(), 4);
    assert.deepEqual(clients(world), ['one.test', 'three.test', 'two.test']);
  });

  test('leave all connections to the one that has mail', async t => {
    const arrived = Promise.withResolvers<void>();
    await using world = await startWorld({
      maxConnectionsPerLane: 6,
      async script(turn) {
        if (turn.event === 'MESSAGE') await arrived.promise;
        return await slowly(turn);
      },
    });
    const sent = await send(world.relays[1], 150, 'only');
    arrived.resolve();
    await drained(world.relays[0]);
    t.diagnostic(`${world.peak()} connections at most, ${world.connections.length} in all`);
    assert.deepEqual(taken(world), sent.sort());
    assert.equal(world.peak(), 6);
    assert.deepEqual(clients(world), ['two.test']);
  });

  test('get on with one connection for all of them, and never have two', async t => {
    await using world = await startWorld({ maxConnectionsPerLane: 1, script: slowly });
    const begun = performance.now();
    const sent = await Promise.all(world.relays.map((relay, n) => send(relay, 20, `r${n}-`)));
    await drained(world.relays[0]);
    t.diagnostic(`${Math.round(performance.now() - begun)} ms, ${world.connections.length} connections`);
    assert.deepEqual(taken(world), sent.flat().sort());
    assert.equal(world.peak(), 1);
  });
});

describe('Three relays on one queue, when something is away', { skip, concurrency: true }, () => {
  test('make one attempt at a next hop that turns them away after each rest, not one each', async t => {
    const hop = { refuses: true };
    await using world = await startWorld({
      maxConnectionsPerLane: 4,
      retry: { initialDelaySeconds: 4 },
      script: ({ event }) => (event === 'GREETING' && hop.refuses ? '421 4.3.2 not now' : undefined),
    });
    const sent = await Promise.all(world.relays.map((relay, n) => send(relay, 20, `r${n}-`)));
    const attempts = () => groupsOf(world.connections, 1000);
    await waitUntil('two rests are over', () => attempts().length >= 3, { limitMs: 60_000 });
    t.diagnostic(`connections: ${attempts().join(', ')}`);
    const [, second, third] = attempts();
    assert.deepEqual([second, third], [1, 1]);
    hop.refuses = false;
    await drained(world.relays[0]);
    assert.deepEqual(taken(world), sent.flat().sort());
    assert.ok(world.peak() <= 4, `${world.peak()} connections`);
  });

  test('get the connections of one that is killed when its time is over', async t => {
    const held = { hangs: true };
    await using world = await startWorld({
      maxConnectionsPerLane: 2,
      script: ({ event }) => (event === 'MESSAGE' && held.hangs ? 'hang' : undefined),
    });
    const [first, second] = world.relays;
    const sent = await send(first, 10, 'first');
    await waitUntil('it has all connections', () => world.mx.open === 2);
    const more = await send(second, 10, 'second');
    held.hangs = false;
    await first.kill();
    const begun = performance.now();
    await drained(second);
    const tookMs = Math.round(performance.now() - begun);
    t.diagnostic(`${tookMs} ms after it was killed all is delivered`);
    assert.ok(tookMs < 3 * ownerTtlMs, `${tookMs} ms`);
    assert.deepEqual(taken(world), [...sent, ...more].sort());
    assert.equal(world.peak(), 2);
  });

  test('begin nothing new at a next hop when Redis is away for so long that others might', async () => {
    await using world = await startWorld({ maxConnectionsPerLane: 2, script: slowly });
    const [first, second] = world.relays;
    await send(first, 200, 'first');
    await waitUntil('both connections are there', () => world.mx.open === 2);
    await world.redis.kill();
    await waitUntil('none is left', () => world.mx.open === 0, { limitMs: 30_000 });
    await world.redis.start();
    await waitUntil('it is heard again', async () => (await fetch(second.url('/readyz'))).status === 200);
    await drained(second);
    assert.equal(world.peak(), 2);
  });
});

/** How many there are of each that follow one another within that time. */
function groupsOf(times: readonly number[], withinMs: number): number[] {
  const groups: number[] = [];
  for (const [at, time] of times.entries()) {
    if (at > 0 && time - (times[at - 1] ?? 0) < withinMs) groups.push((groups.pop() ?? 0) + 1);
    else groups.push(1);
  }
  return groups;
}
