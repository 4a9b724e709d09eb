import assert from 'node:assert/strict';
import { after, before, type TestContext, test } from 'node:test';
import { createEventRecorder, type EventRecorder } from '../../operator/kube/events.ts';
import { listAll } from '../../operator/kube/list.ts';
import type { KubeObject, Resource } from '../../operator/kube/object.ts';
import { systemClock } from '../../relay/clock.ts';
import { configMaps, KeptMetrics, quiet } from '../operator/kube/fakes.ts';
import { waitUntil } from '../support/wait-until.ts';
import { type ApiWorld, never, startWorld } from './api-world.ts';

let world: ApiWorld;

before(async () => {
  world = await startWorld();
});
after(async () => {
  await world[Symbol.asyncDispose]();
});

/** As `kubectl describe` and `kubectl get events` read them. */
const coreEvents: Resource = { apiVersion: 'v1', kind: 'Event', plural: 'events', isNamespaced: true };

interface CoreEvent extends KubeObject {
  readonly reason: string;
  readonly message: string;
  readonly type: string;
  readonly series?: { readonly count: number };
  readonly reportingComponent: string;
}

interface Recording {
  readonly object: KubeObject;
  readonly recorder: EventRecorder;
  readonly metrics: KeptMetrics;
  told(): Promise<CoreEvent[]>;
  stop(): Promise<void>;
}

let objects = 0;

async function start(t: TestContext): Promise<Recording> {
  const metadata = { name: `object-${++objects}`, namespace: 'mail' };
  const object = await world.create<KubeObject>(configMaps, { apiVersion: 'v1', kind: 'ConfigMap', metadata });
  const metrics = new KeptMetrics();
  const recorder = createEventRecorder({
    ...{ client: world.client, clock: systemClock, log: quiet, metrics },
    ...{ controller: 'postroad.dev/operator', instance: 'operator-0' },
  });
  const stopping = new AbortController();
  const running = recorder.run(stopping.signal);
  const stop = async (): Promise<void> => {
    stopping.abort();
    await running;
  };
  t.after(stop);
  const fieldSelector = `involvedObject.uid=${object.metadata.uid}`;
  const selection = { resource: coreEvents, namespace: 'mail', labelSelector: undefined, fieldSelector };
  const told = (): Promise<CoreEvent[]> =>
    listAll<CoreEvent>({ ...selection, client: world.client, signal: never, pageSize: 100, most: 1000 });
  return { object: { ...object, apiVersion: 'v1', kind: 'ConfigMap' }, recorder, metrics, told, stop };
}

const happening = {
  type: 'Warning',
  reason: 'Conflicted',
  action: 'Attach',
  note: 'shop/other claims example.com',
} as const;

test('an event is found by what kubectl describe looks for', async t => {
  const { object, recorder, told } = await start(t);
  recorder.record(object, happening);
  const [event] = await waitUntil('the event', async () => {
    const events = await told();
    return events.length > 0 && events;
  });
  assert.deepEqual(
    [event?.reason, event?.message, event?.type, event?.reportingComponent],
    ['Conflicted', happening.note, 'Warning', 'postroad.dev/operator'],
  );
});

test('the same event again is the same Event with a count', async t => {
  const { object, recorder, told, metrics } = await start(t);
  recorder.record(object, happening);
  await waitUntil('the first', () => metrics.get('postroad_operator_events_total', { result: 'Created' }) === 1);
  for (let i = 0; i < 4; i++) recorder.record(object, happening);
  await waitUntil('the count', async () => (await told())[0]?.series?.count === 5);
  assert.equal((await told()).length, 1);
});

test('notes that keep changing end as one combined Event', async t => {
  const { object, recorder, told, stop } = await start(t);
  for (let i = 0; i < 20; i++) recorder.record(object, { ...happening, note: `attempt ${i}` });
  await stop();
  const events = await told();
  assert.equal(events.length, 11);
  const combined = events.filter(({ message }) => message.startsWith('(combined from similar events)'));
  assert.equal(combined.length, 1);
  assert.equal(combined[0]?.series?.count, 10);
});

test('an Event that has expired meanwhile is made anew when its series goes on', async t => {
  const { object, recorder, told, metrics } = await start(t);
  recorder.record(object, happening);
  await waitUntil('the first', () => metrics.get('postroad_operator_events_total', { result: 'Created' }) === 1);
  const [event] = await told();
  await world.remove(coreEvents, { namespace: 'mail', name: event?.metadata.name ?? '' });
  recorder.record(object, happening);
  await waitUntil('it again', async () => (await told())[0]?.series?.count === 2);
});

test('what is recorded just before the stop is told', async t => {
  const { object, recorder, told, stop } = await start(t);
  recorder.record(object, happening);
  await stop();
  assert.equal((await told()).length, 1);
});
