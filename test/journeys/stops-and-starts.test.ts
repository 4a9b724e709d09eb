import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { createCapture } from '../../relay/deliver/capture.ts';
import { startDelivery } from '../support/delivery.ts';
import { startWithMx, usualZone } from '../support/next-hop.ts';
import { waitUntil } from '../support/wait-until.ts';

test('on stop what is under way is finished, the rest goes back to the queue untried and due', async () => {
  let release = (): void => undefined;
  const released = new Promise<void>(resolve => {
    release = resolve;
  });
  await using set = await startWithMx({
    script: async ({ event, count }) => {
      if (event === 'BDAT' && count === 1) await released;
      return undefined;
    },
    config: { delivery: { maxConnectionsPerLane: 1 } },
  });
  for (let n = 0; n < 5; n++) await set.delivery.submit({ to: [`u${n}@dest.test`] });
  await waitUntil('the first message is there', () => set.mx.commands.some(line => line.includes('BDAT')));
  const stopped = set.delivery.scheduler.stop(10_000);
  release();
  await stopped;
  const { totals, depth } = await set.delivery.queue.stats();
  assert.deepEqual(
    { totals, depth },
    { totals: { accepted: 5, delivered: 1, failed: 0, discarded: 0 }, depth: { Waiting: 4, Leased: 0, Held: 0 } },
  );
  assert.ok(
    (await set.delivery.entries()).every(
      ({ attempts, nextAttemptTimeMs }) => attempts === 0 && nextAttemptTimeMs <= Date.now(),
    ),
  );
});

test('on stop a next hop that hangs is broken off when the grace is over', async () => {
  await using set = await startWithMx({ script: ({ event }) => (event === 'MAIL' ? 'hang' : undefined) });
  await set.delivery.submit({ to: ['alice@dest.test'] });
  await waitUntil('it hangs', () => set.mx.commands.some(line => line.includes('MAIL')));
  await set.delivery.scheduler.stop(50);
  const [entry] = await set.delivery.entries();
  assert.equal(entry?.state, 'Waiting');
  assert.equal(entry.attempts, 0);
});

test('on stop nobody waits for a nameserver that is silent, however many domains still have to be asked for', async () => {
  const domains = Array.from({ length: 250 }, (_, n) => `silent${n}.test`);
  const zone = { ...usualZone, ...Object.fromEntries(domains.map(name => [name, [{ type: 'SILENT' as const }]])) };
  await using set = await startWithMx({ zone });
  for (const domain of domains) await set.delivery.submit({ to: [`alice@${domain}`] });
  await waitUntil('the first are asked for', () => set.zone.questions.length >= 100);
  const startedMs = performance.now();
  await set.delivery.scheduler.stop(20_000);
  assert.ok(performance.now() - startedMs < 3000);
  await set.delivery.settled({ accepted: 250, delivered: 0, failed: 0, depth: 250 });
  assert.ok((await set.delivery.entries()).every(({ state, attempts }) => state === 'Waiting' && attempts === 0));
});

test('mail that was not offered is found in the queue and delivered', async () => {
  await using set = await startWithMx();
  for (let n = 0; n < 30; n++) await set.delivery.enqueue({ to: [`u${n}@dest.test`] });
  set.delivery.scheduler.offer([]);
  await set.delivery.settled({ accepted: 30, delivered: 30, depth: 0 });
});

test('captured messages can be listed and read, and a second claim adds its recipients', async () => {
  await using delivery = await startDelivery({ config: { route: { type: 'Capture' } } });
  const id = await delivery.submit({
    to: ['alice@dest.test', 'bob@other.test'],
    content: '.x\r\n',
    head: 'Received: r\r\n',
  });
  await delivery.settled({ accepted: 2, delivered: 2, depth: 0 });
  const capture = createCapture({ directory: delivery.captureDir });
  const [captured, ...others] = await capture.list();
  assert.equal(others.length, 0);
  assert.deepEqual(
    { ...captured, receivedTime: '' },
    {
      id,
      reversePath: 'app@shop.example.com',
      forwardPaths: ['alice@dest.test', 'bob@other.test'],
      receivedTime: '',
      size: 17,
    },
  );
  assert.equal(await readFile(`${delivery.captureDir}/${id}.eml`, 'latin1'), 'Received: r\r\n.x\r\n');
  assert.equal(await capture.read('../../etc/passwd'), undefined);
});

test('a success DSN says that a captured message was delivered', async () => {
  await using delivery = await startDelivery({ config: { route: { type: 'Capture' } } });
  await delivery.submit({ to: [{ address: 'alice@dest.test', notify: ['Success'] }] });
  await delivery.settled({ accepted: 2, delivered: 2, depth: 0 });
  const capture = createCapture({ directory: delivery.captureDir });
  const dsn = (await capture.list()).find(({ reversePath }) => reversePath === '');
  assert.match(await readFile(`${delivery.captureDir}/${dsn?.id}.eml`, 'utf8'), /Action: delivered/);
});

test('a store that cannot settle for a while is asked again, and nothing is sent twice', async () => {
  let faults = 3;
  await using set = await startWithMx({
    delivery: {
      wrapQueue: queue =>
        new Proxy(queue, {
          get(target, name) {
            if (name === 'settle' && faults > 0) {
              return async () => {
                faults -= 1;
                throw new Error('disk fault');
              };
            }
            const value: unknown = Reflect.get(target, name, target);
            return typeof value === 'function' ? value.bind(target) : value;
          },
        }),
    },
  });
  await set.delivery.submit({ to: ['alice@dest.test'] });
  await set.delivery.settled({ accepted: 1, delivered: 1, depth: 0 });
  assert.equal(faults, 0);
  assert.equal(set.mx.messages.length, 1);
});
