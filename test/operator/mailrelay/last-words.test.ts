import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import type { KubeObject } from '../../../operator/kube/object.ts';
import { createLastWords, type LastWords } from '../../../operator/mailrelay/last-words.ts';

const key = 'mail/outbound';
const name = 'outbound-relay-1';
const empty = '{"queue":"Empty"}';
let words: LastWords;

beforeEach(() => {
  words = createLastWords(relayKey => relayKey === key);
});

interface Changes {
  readonly metadata?: object;
  readonly phase?: string;
  readonly exitCode?: number;
  readonly message?: string | undefined;
  readonly container?: string;
  /** Where the end is told: `lastState` is that of a life before. */
  readonly place?: 'state' | 'lastState';
}

function ended({ metadata = {}, phase = 'Succeeded', exitCode = 0, ...changes }: Changes = {}): KubeObject {
  const { message = empty, container = 'relay', place = 'state' } = changes;
  const owner = { apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'outbound-relay', uid: 'w', controller: true };
  const whole = {
    ...{ name, namespace: 'mail', uid: '1', deletionTimestamp: '2026-01-01T00:00:00Z' },
    ...{ labels: { 'app.kubernetes.io/instance': 'outbound' }, ownerReferences: [owner], ...metadata },
  };
  const containerStatuses = [{ name: container, [place]: { terminated: { exitCode, message } } }];
  return { apiVersion: 'v1', kind: 'Pod', metadata: whole, status: { phase, containerStatuses } } as KubeObject;
}

const emptied = (): string[] => [...words.emptied(key)];

test('a pod that ended in order with an empty queue is known to have left nothing', () => {
  words.seen(ended());
  assert.deepEqual(emptied(), [name]);
  words.seen(ended());
  assert.deepEqual(emptied(), [name], 'its object goes as it was last');
});

for (const [how, changes] of Object.entries({
  'with mail': { message: '{"queue":"Holds","recipients":1}' },
  'without a word': { message: '' },
  'with a word that was cut short': { message: '{"queue":"Emp' },
  'with a word of another program': { message: 'null' },
  'by a kill': { exitCode: 137 },
  'in a pod of which another container failed, or that was evicted': { phase: 'Failed' },
  'but may be started again': { phase: 'Running' },
  'in a pod that nobody deleted': { metadata: { deletionTimestamp: undefined } },
  'in a life before this one': { place: 'lastState' },
  'beside the relay': { container: 'sidecar' },
  'in a pod of nobody': { metadata: { ownerReferences: [] } },
  'in a pod of a relay that is not known': { metadata: { labels: { 'app.kubernetes.io/instance': 'other' } } },
} satisfies Record<string, Changes>)) {
  test(`what ended ${how} may have left mail`, () => {
    words.seen(ended(changes));
    assert.deepEqual([...emptied(), ...words.emptied('mail/other')], []);
  });
}

test('another pod of the name takes nothing over, from the moment that it is there', () => {
  words.seen(ended());
  words.seen(ended({ metadata: { uid: '2', deletionTimestamp: undefined }, phase: 'Pending', message: '' }));
  assert.deepEqual(emptied(), []);
  words.seen(ended({ metadata: { uid: '2' }, exitCode: 137 }));
  assert.deepEqual(emptied(), []);
});

test('a word of a container that was started again is taken back by what the pod says next', () => {
  words.seen(ended());
  words.seen(ended({ phase: 'Running', place: 'lastState' }));
  assert.deepEqual(emptied(), []);
});

test('the word of a pod that its workload still asked for is dropped, unless that is only how it looked before', () => {
  const all = ['outbound-relay-0', 'outbound-relay-1'];
  for (const [written, shown, left] of [
    [undefined, undefined, []],
    [undefined, 1, ['outbound-relay-1']],
    [2, 2, []],
    [1, 2, ['outbound-relay-1']],
    [2, 1, ['outbound-relay-1']],
    [0, 2, all],
  ] as const) {
    words.forget(key);
    for (const one of all) words.seen(ended({ metadata: { name: one } }));
    if (written !== undefined) words.wrote(key, written);
    words.dropWanted(key, shown);
    assert.deepEqual(emptied(), left, `${written} ${shown}`);
  }
});

test('of one relay so many are kept, the last, and of none that is gone', () => {
  const numbered = (ordinal: number): KubeObject => ended({ metadata: { name: `outbound-relay-${ordinal}` } });
  for (let ordinal = 0; ordinal < 100; ordinal++) words.seen(numbered(ordinal));
  assert.equal(emptied().length, 64);
  assert.ok(emptied().includes('outbound-relay-99'));
  words.forget(key);
  assert.deepEqual(emptied(), []);
});
