/** A relay that stands still for so long that others take over what it holds, and then goes on as if nothing had been. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RelayConfigInput } from '../../relay/config.ts';
import { programsMissing } from '../support/programs.ts';
import { RawClient } from '../support/raw-client.ts';
import { queueIn, type RedisPeer, startRedis } from '../support/redis.ts';
import { drained, metric, type RelayProcess, relayConfig, startRelayProcess } from '../support/relay-process.ts';
import { startScriptedMx } from '../support/scripted-mx.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { waitUntil } from '../support/wait-until.ts';

const skip = programsMissing('redis-server', 'redis-cli');
const count = 10;
const owners = 'woken:{0.0}:owners';
const recipients = Array.from({ length: count }, (_, n) => `r${n}@next.example`);

function configuration(mxPort: number, redisPort: number): RelayConfigInput {
  return relayConfig({
    route: { type: 'SmartHost', smartHost: { host: '127.0.0.1', port: mxPort, tls: 'Disabled' } },
    delivery: { maxConnectionsPerLane: 1 },
    queue: queueIn({ port: redisPort }, 'woken:'),
  });
}

interface Waking {
  readonly stopped: RelayProcess;
  readonly redis: RedisPeer;
  /** The next hop takes the message that was under way. */
  answer(): Promise<void>;
}

/** What it hears of first when it wakes up. */
const wakings: Readonly<Record<string, (waking: Waking) => Promise<void>>> = {
  async 'and finds its delivery done'({ stopped, answer }) {
    await answer();
    process.kill(stopped.pid, 'SIGCONT');
  },
  async 'and says that it lives, before its delivery is done'({ stopped, redis, answer }) {
    assert.equal(await redis.ask('ZCARD', owners), '1');
    process.kill(stopped.pid, 'SIGCONT');
    await waitUntil('it is heard', async () => (await redis.ask('ZCARD', owners)) === '2');
    // And has its answer: that came in before these.
    await stopped.metrics();
    await stopped.metrics();
    await answer();
  },
};

for (const [name, wake] of Object.entries(wakings)) {
  test(
    `a relay that wakes up ${name} delivers nothing that another took over, but for what was under way, and settles none of it`,
    {
      skip,
    },
    () => standStillAndWake(wake),
  );
}

async function standStillAndWake(wake: (waking: Waking) => Promise<void>): Promise<void> {
  await using folder = await temporaryFolder();
  await using redis = await startRedis(folder.path);
  const answerFirst = Promise.withResolvers<undefined>();
  let hangs = false;
  await using mx = await startScriptedMx({
    extensions: ['8BITMIME'],
    async script({ event, count: seen }) {
      if (event !== 'MESSAGE' || seen > 1) return undefined;
      hangs = true;
      return await answerFirst.promise;
    },
  });
  await using stopped = await startRelayProcess(configuration(mx.port, redis.port));
  const client = await RawClient.open(stopped.port());
  for (const recipient of recipients) {
    const content = Buffer.from(`From: a@example.com\r\nSubject: ${recipient}\r\n\r\nhello\r\n`);
    const { outcome } = await client.send({ reversePath: 'a@example.com', recipients: [recipient], content });
    assert.equal(outcome, 'accepted');
  }
  await client.quit();
  await waitUntil('the first is under way', () => Promise.resolve(hangs));
  process.kill(stopped.pid, 'SIGSTOP');
  await using other = await startRelayProcess(configuration(mx.port, redis.port));
  const taken = (): string[] =>
    mx.messages
      .filter(({ accepted }) => accepted)
      .flatMap(({ rcpts }) => rcpts.map(line => /<(.*)>/.exec(line)?.[1] ?? line));
  await waitUntil('the other has delivered all of it', () => Promise.resolve(taken().length === count), {
    limitMs: 60_000,
  });
  assert.deepEqual(taken().sort(), [...recipients].sort());
  await wake({
    stopped,
    redis,
    async answer() {
      // Then the connection is there for the next message.
      answerFirst.resolve(undefined);
      await waitUntil('the first is answered', () => Promise.resolve(taken().length > count));
    },
  });
  await waitUntil('it lets go of everything', async () => {
    const metrics = await stopped.metrics();
    return metric(metrics, 'postroad_schedule_deliveries_running') === 0 && stopped.log().includes('leases lost');
  });
  const metrics = await drained(other);
  assert.equal(metric(metrics, 'postroad_queue_delivered_recipients_total'), count);
  assert.equal(taken().length, count + 1);
  assert.equal(new Set(taken()).size, count);
}
