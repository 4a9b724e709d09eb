import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Said } from '../../../operator/dns/txt.ts';
import type { DnsRecord } from '../../../operator/domainpolicy/dns-record.ts';
import { createRecordWatch, freshLookMs, type RecordWatch } from '../../../operator/domainpolicy/record-watch.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { KeptMetrics, quiet } from '../kube/fakes.ts';

const key: DnsRecord = { name: 'k._domainkey.a.example', type: 'TXT', purpose: 'DKIM', value: 'v=DKIM1; p=AAAA' };
const there: Said = { kind: 'Texts', texts: [key.value] };
const silent: Said = { kind: 'Silent', why: 'SERVFAIL' };
const gone: Said = { kind: 'Nothing' };

interface SetUp {
  readonly watch: RecordWatch;
  readonly clock: FakeClock;
  /** Times of the looks, in seconds from the start. */
  readonly looks: number[];
  readonly touched: string[];
  said: Said;
  isBusy: boolean;
  /** Names whose look does not end. */
  readonly stuck: Set<string>;
}

function setUp(t: TestContext): SetUp {
  const clock = new FakeClock();
  const startMs = clock.now();
  const world = {
    said: there,
    looks: [] as number[],
    touched: [] as string[],
    stuck: new Set<string>(),
    isBusy: false,
  };
  const lookups = {
    authoritative: async (name: string, signal: AbortSignal) => {
      if (world.stuck.has(name)) await clock.sleep(Number.MAX_SAFE_INTEGER, signal);
      world.looks.push((clock.now() - startMs) / 1000);
      return { servers: [{ host: 'ns1', said: world.said }], problem: undefined };
    },
    resolvedSpf: async () => gone,
  };
  const watch = createRecordWatch({
    ...{ lookups, clock, random: () => 0.5, log: quiet, metrics: new KeptMetrics() },
    touchPolicy: policy => void world.touched.push(policy),
    isBusy: () => world.isBusy,
  });
  const stopping = new AbortController();
  const running = watch.run(stopping.signal);
  t.after(async () => {
    stopping.abort();
    await running;
  });
  return Object.assign(world, { watch, clock });
}

const minuteMs = 60_000;

test('a record that nobody signs by is looked at each hour, one that somebody signs by each minute, a new one every 15 s', async t => {
  const world = setUp(t);
  const { watch, clock, looks } = world;
  watch.want('shop/a', [{ record: key, isGuarded: false }], '1');
  await clock.advance(2 * 60 * minuteMs);
  assert.deepEqual(looks, [0, 3600, 7200]);
  watch.want('shop/a', [{ record: key, isGuarded: true }], '1');
  await clock.advance(3 * minuteMs);
  assert.deepEqual(looks.slice(3), [7260, 7320, 7380]);
  watch.want('shop/a', [{ record: key, isGuarded: true, newUntilMs: clock.now() + minuteMs }], '1');
  await clock.advance(2 * minuteMs);
  assert.deepEqual(looks.slice(6), [7395, 7410, 7425, 7440, 7500]);
});

test('one that is missing is looked for soon, then less and less often, and soon again when the policy is another', async t => {
  const world = setUp(t);
  const { watch, clock, looks } = world;
  world.said = gone;
  watch.want('shop/a', [{ record: key, isGuarded: true }], '1');
  await clock.advance(20 * minuteMs);
  assert.deepEqual(looks, [0, 5, 15, 35, 75, 155, 315, 615, 915]);
  watch.want('shop/a', [{ record: key, isGuarded: true }], '2');
  await clock.advance(10_000);
  assert.deepEqual(looks.slice(9), [1200, 1205]);
});

test('while many policies are new, one that is missing is looked for less often; one that was there, as ever', async t => {
  const world = setUp(t);
  const { watch, clock, looks } = world;
  world.isBusy = true;
  world.said = gone;
  watch.want('shop/a', [{ record: key, isGuarded: true }], '1');
  await clock.advance(20 * minuteMs);
  assert.deepEqual(looks, [0, 120, 360, 660, 960]);
  world.said = there;
  watch.want('shop/a', [{ record: key, isGuarded: true }], '2');
  await clock.advance(0);
  world.said = gone;
  looks.length = 0;
  await clock.advance(4 * minuteMs);
  assert.deepEqual(looks, [1260, 1265, 1275, 1295, 1335, 1415]);
});

test('its policy is looked at when what is seen changes, and not when it stays', async t => {
  const world = setUp(t);
  const { watch, clock, touched } = world;
  watch.want('shop/a', [{ record: key, isGuarded: true }], '1');
  await clock.advance(10 * minuteMs);
  assert.deepEqual(touched, ['shop/a']);
  world.said = gone;
  await clock.advance(minuteMs);
  assert.deepEqual(touched, ['shop/a', 'shop/a']);
  assert.equal(watch.seen('shop/a', key)?.definite?.isThere, false);
});

test('the first look at all records is worth a wait of a second, and no longer', async t => {
  const { watch, clock, stuck } = setUp(t);
  const slow = { ...key, name: 'slow.a.example' };
  stuck.add(slow.name);
  assert.equal(watch.firstLookMs('shop/a'), undefined, 'nobody looks');
  watch.want('shop/a', [{ record: key, isGuarded: true }], '1');
  assert.equal(watch.firstLookMs('shop/a'), 1000);
  await clock.advance(0);
  assert.equal(watch.firstLookMs('shop/a'), undefined, 'it is over');
  watch.want(
    'shop/b',
    [key, slow].map(record => ({ record, isGuarded: true })),
    '1',
  );
  await clock.advance(400);
  assert.equal(watch.firstLookMs('shop/b'), 600);
  watch.want(
    'shop/b',
    [key, slow].map(record => ({ record, isGuarded: true })),
    '2',
  );
  await clock.advance(600);
  assert.equal(watch.firstLookMs('shop/b'), undefined);
});

test('silence changes nothing of what was definite, and an answer that comes late enough to matter is told', async t => {
  const world = setUp(t);
  const { watch, clock, touched } = world;
  watch.want('shop/a', [{ record: key, isGuarded: true }], '1');
  await clock.advance(0);
  const { definite } = watch.seen('shop/a', key) ?? {};
  world.said = silent;
  await clock.advance(freshLookMs);
  assert.deepEqual(watch.seen('shop/a', key)?.definite, definite);
  assert.equal(watch.seen('shop/a', key)?.record.state, 'Unknown');
  world.said = there;
  touched.length = 0;
  await clock.advance(5 * minuteMs);
  assert.deepEqual(touched, ['shop/a']);
  assert.ok((watch.seen('shop/a', key)?.definite?.timeMs ?? 0) > (definite?.timeMs ?? 0));
});

test('servers that fell silent are asked each minute for a record by which somebody signs', async t => {
  const world = setUp(t);
  const { watch, clock, looks } = world;
  watch.want('shop/a', [{ record: key, isGuarded: true }], '1');
  await clock.advance(0);
  world.said = silent;
  await clock.advance(10 * minuteMs);
  assert.deepEqual(looks, [0, 60, 65, 75, 95, 135, 195, 255, 315, 375, 435, 495, 555]);
});

test('a record that is lost is told at once, also while another of the policy was never looked at', async t => {
  const world = setUp(t);
  const { watch, clock, touched } = world;
  const other = { ...key, name: 'k._domainkey.b.example' };
  watch.want('shop/a', [{ record: key, isGuarded: true }], '1');
  await clock.advance(0);
  world.stuck.add(other.name);
  watch.want(
    'shop/a',
    [key, other].map(record => ({ record, isGuarded: true })),
    '1',
  );
  world.said = gone;
  touched.length = 0;
  await clock.advance(minuteMs);
  assert.equal(watch.isLookedAt('shop/a'), false);
  assert.deepEqual(touched, ['shop/a']);
});

test('what is asked for no more is looked at no more, and nothing of it is kept', async t => {
  const { watch, clock, looks, touched } = setUp(t);
  watch.want('shop/a', [{ record: key, isGuarded: true }], '1');
  await clock.advance(0);
  watch.want('shop/a', [{ record: { ...key, value: 'v=DKIM1; p=BBBB' }, isGuarded: true }], '1');
  assert.equal(watch.seen('shop/a', key), undefined, 'with another value it is another record');
  await clock.advance(0);
  watch.forget('shop/a');
  const { length } = looks;
  touched.length = 0;
  await clock.advance(60 * minuteMs);
  assert.equal(looks.length, length);
  assert.deepEqual(touched, []);
});
