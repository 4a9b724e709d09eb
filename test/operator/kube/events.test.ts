/** Windows and shares by a clock of ours; that a real server takes and shows Events is in test/apiserver/events.test.ts. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { KubeClient, Request } from '../../../operator/kube/client.ts';
import { ApiError } from '../../../operator/kube/errors.ts';
import { createEventRecorder, type EventRecorder } from '../../../operator/kube/events.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { configMap, KeptMetrics, quiet } from './fakes.ts';

interface Setup {
  readonly clock: FakeClock;
  readonly recorder: EventRecorder;
  readonly requests: Request[];
  count(result: string): number;
  /** Answers from now on with this, or as usual. */
  fail(error: Error | undefined): void;
}

function setUp(t: TestContext, limits = {}): Setup {
  const clock = new FakeClock();
  const metrics = new KeptMetrics();
  const requests: Request[] = [];
  let fault: Error | undefined;
  const client: KubeClient = {
    namespace: undefined,
    async request<T>(request: Request): Promise<T> {
      requests.push(request);
      if (fault !== undefined) throw fault;
      return {} as T;
    },
    watch: () => Promise.reject(new Error('not watched')),
    close: () => undefined,
  };
  const common = { client, clock, log: quiet, metrics, controller: 'postroad.dev/operator', instance: 'a', limits };
  const recorder = createEventRecorder(common);
  const stopping = new AbortController();
  const running = recorder.run(stopping.signal);
  t.after(async () => {
    stopping.abort();
    await running;
  });
  const count = (result: string): number => metrics.get('postroad_operator_events_total', { result });
  const fail = (error: Error | undefined): void => {
    fault = error;
  };
  return { clock, recorder, requests, count, fail };
}

const happening = { type: 'Normal', reason: 'Applied', action: 'Apply', note: 'all is well' } as const;
const object = configMap('a', '1');

test('the same within its window is a count; later it is a new Event', async t => {
  const { clock, recorder, requests } = setUp(t);
  for (const waitMs of [0, 100_000, 300_000, 360_000]) {
    await clock.advance(waitMs);
    recorder.record(object, happening);
    await clock.advance(0);
  }
  assert.deepEqual(
    requests.map(({ method }) => method),
    ['POST', 'PATCH', 'PATCH', 'POST'],
  );
  assert.deepEqual(requests[2]?.body, { series: { count: 3, lastObservedTime: '2026-01-01T00:06:40.000000Z' } });
});

test('an object that says too much is cut off, gets a word again with time, and takes nothing from another', async t => {
  const { clock, recorder, requests, count } = setUp(t);
  for (let i = 0; i < 40; i++) recorder.record(object, { ...happening, reason: `Reason${i}` });
  await clock.advance(0);
  assert.equal(requests.length, 25);
  assert.equal(count('Dropped'), 15);
  recorder.record(configMap('b', '1'), happening);
  await clock.advance(0);
  assert.equal(requests.length, 26);
  await clock.advance(300_000);
  recorder.record(object, happening);
  recorder.record(object, { ...happening, reason: 'Other' });
  await clock.advance(0);
  assert.equal(requests.length, 27);
});

test('an API server that takes no events costs nothing but the events', async t => {
  const { clock, recorder, requests, count, fail } = setUp(t);
  fail(new ApiError('POST events', { code: 403, reason: 'Forbidden' }));
  recorder.record(object, happening);
  await clock.advance(0);
  assert.equal(count('Failed'), 1);
  fail(undefined);
  recorder.record(object, happening);
  await clock.advance(0);
  assert.equal(count('Created'), 1);
  assert.equal(requests[1]?.method, 'POST', 'it was never made, so it is made now');
});

test('what waits is bounded', async t => {
  const { clock, recorder, count } = setUp(t, { waiting: 3 });
  for (let i = 0; i < 10; i++) recorder.record(configMap(`o${i}`, '1'), happening);
  await clock.advance(0);
  assert.ok(count('Dropped') >= 6, `${count('Dropped')} were dropped`);
});

test('an Event of a long name has a name that the server takes, and an object without a namespace one of its own', async t => {
  const { clock, recorder, requests } = setUp(t);
  const { namespace: _, ...metadata } = configMap('x'.repeat(253), '1').metadata;
  recorder.record({ ...object, metadata }, { ...happening, note: 'n'.repeat(5000) });
  await clock.advance(0);
  const body = requests[0]?.body as { metadata: { name: string; namespace: string }; note: string };
  assert.equal(body.metadata.namespace, 'default');
  assert.ok(body.metadata.name.length <= 253);
  assert.equal(body.note.length, 1024);
});
