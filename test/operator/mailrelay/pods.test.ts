import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import type { PodReport } from '../../../operator/mailrelay/pod-report.ts';
import { createPodReports, type PodReports, type SeenPod } from '../../../operator/mailrelay/pods.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { quiet } from '../kube/fakes.ts';

const key = 'mail/outbound';
const name = 'outbound-relay-0';
let clock: FakeClock;
let askedMs: number[];
let answer: PodReport | undefined;
let touches: number;
let reports: PodReports;
let term: AbortController;

beforeEach(() => {
  clock = new FakeClock(0);
  askedMs = [];
  answer = undefined;
  touches = 0;
  term = new AbortController();
  reports = createPodReports({
    clock,
    random: () => 0.5,
    port: 8080,
    log: quiet,
    async ask() {
      askedMs.push(clock.now());
      return answer;
    },
    touchRelay: () => {
      touches += 1;
    },
  });
});

function see(changes: Partial<SeenPod> = {}): void {
  const pod = { name, uid: '1', address: '10.0.0.1', ready: true, terminating: false, isServing: true };
  reports.see(key, [{ ...pod, ...changes }]);
}

function ask(leaving: readonly string[] = []): void {
  reports.ask(key, { revision: 'new', toAsk: [name], leaving, signal: term.signal });
}

const empty: PodReport = {
  ...{ revision: 'new', queuedRecipients: 0, openSessions: 0 },
  ...{ deliveries: 0, storeTroubles: [] },
};

test('a pod is asked within a moment, then ever more slowly, and no more once it runs what is wanted', async () => {
  see();
  ask();
  answer = { ...empty, revision: 'old' };
  await clock.advance(990);
  assert.deepEqual(askedMs, [50, 150, 350, 750]);
  assert.equal(touches, 1, 'the same answer is news once');
  answer = empty;
  await clock.advance(3_600_000);
  assert.equal(askedMs.length, 5);
  assert.equal(touches, 2);
  assert.equal(clock.sleepers, 0);
});

test('a pod that never answers is asked once a minute in the end', async () => {
  see();
  ask();
  await clock.advance(3_600_000);
  const count = askedMs.length;
  assert.ok(count < 75, String(count));
  await clock.advance(600_000);
  assert.equal(askedMs.length, count + 10);
});

test('a pod that says that it runs something older is nudged again after 1, 3 and 8 s, and asked soon each time', async () => {
  see();
  ask();
  answer = { ...empty, revision: 'old' };
  const nudgedMs: number[] = [];
  for (let times = 0; clock.now() < 120_000; await clock.advance(10)) {
    const now = reports.nudged(key, name).times;
    if (now !== times) nudgedMs.push(clock.now());
    times = now;
  }
  assert.deepEqual(nudgedMs, [1000, 3000, 8000]);
  assert.equal(reports.nudged(key, name).revision, 'new');
  assert.equal(touches, 4, 'the first answer, and each nudge');
  for (const ms of nudgedMs) assert.ok(askedMs.includes(ms + 50));
  reports.ask(key, { revision: 'newer', toAsk: [name], leaving: [], signal: term.signal });
  assert.equal(reports.nudged(key, name).revision, 'new', 'not yet');
  await clock.advance(1000);
  assert.deepEqual(reports.nudged(key, name), { revision: 'newer', times: 1 });
});

test('a pod that is not ready is asked why, its answer is news once, and holds until it is ready', async () => {
  see({ ready: false });
  ask();
  answer = { ...empty, revision: 'old', storeTroubles: ['NotAMaster', 'EvictionPolicy'] };
  await clock.advance(600_000);
  assert.equal(touches, 1);
  assert.deepEqual(reports.storeTroubles(key, name), ['EvictionPolicy', 'NotAMaster']);
  assert.equal(reports.heard(key, name), undefined, 'of what it runs it is asked when it is ready');
  assert.equal(reports.nudged(key, name).times, 0);
  assert.ok(askedMs.length < 30, String(askedMs.length));
  answer = { ...answer, storeTroubles: ['NotAMaster'] };
  await clock.advance(70_000);
  assert.equal(touches, 2);
  see();
  assert.deepEqual(reports.storeTroubles(key, name), []);
  ask();
  answer = empty;
  await clock.advance(1000);
  assert.equal(reports.heard(key, name)?.revision, 'new');
  assert.equal(clock.sleepers, 0, 'it is asked no more');
});

test('a pod that does not answer is not nudged: it may be anything', async () => {
  see();
  ask();
  await clock.advance(60_000);
  assert.equal(reports.nudged(key, name).times, 0);
});

test('being asked the same again starts nothing anew; the end of the term ends it', async () => {
  see();
  for (let pass = 0; pass < 5; pass++) ask();
  assert.equal(clock.sleepers, 1);
  term.abort();
  await clock.advance(60_000);
  assert.deepEqual(askedMs, []);
  assert.equal(clock.sleepers, 0);
});

test('a queue is known to be empty only by what the pod said after it left its Service', async () => {
  answer = empty;
  see();
  ask([name]);
  await clock.advance(10_000);
  assert.deepEqual([...reports.emptied(key)], [], 'it still serves');
  see({ isServing: false });
  assert.deepEqual([...reports.emptied(key)], [], 'it has not been asked since');
  await clock.advance(10_000);
  assert.deepEqual([...reports.emptied(key)], [name]);
  see({ isServing: false, ready: false, terminating: true });
  reports.see(key, []);
  assert.deepEqual([...reports.emptied(key)], [], 'it is gone');
  see({ uid: '2', isServing: false });
  assert.deepEqual([...reports.emptied(key)], [], 'another pod of that name');
});

test('neither mail nor an open session makes a queue empty, nor one that serves again', async () => {
  see({ isServing: false });
  ask([name]);
  for (const held of [{ queuedRecipients: 1 }, { openSessions: 1 }]) {
    answer = { ...empty, ...held };
    await clock.advance(10_000);
    assert.deepEqual([...reports.emptied(key)], []);
  }
  answer = empty;
  await clock.advance(10_000);
  assert.deepEqual([...reports.emptied(key)], [name]);
  see({ isServing: true });
  assert.deepEqual([...reports.emptied(key)], []);
});

test('what a pod said before it was restarted is forgotten', async () => {
  answer = empty;
  see();
  ask();
  await clock.advance(1000);
  assert.equal(reports.heard(key, name)?.revision, 'new');
  see({ ready: false });
  assert.equal(reports.heard(key, name), undefined);
});

test('pods of one namespace that never answer keep those of no other from being asked', async () => {
  const asked: string[] = [];
  const silent = createPodReports({
    ...{ clock, random: () => 0.5, port: 8080, log: quiet, touchRelay: () => undefined },
    async ask({ address, signal }) {
      asked.push(address);
      if (address.startsWith('10.6.')) await new Promise(resolve => signal.addEventListener('abort', resolve));
      return undefined;
    },
  });
  const pod = { uid: '1', ready: true, terminating: false, isServing: false };
  const names = Array.from({ length: 300 }, (_, index) => `outbound-${index}`);
  const greedy = names.map((one, index) => ({ ...pod, name: one, address: `10.6.0.${index}` }));
  silent.see('greedy/outbound', greedy);
  silent.ask('greedy/outbound', { revision: 'new', toAsk: names, leaving: names, signal: term.signal });
  await clock.advance(10_000);
  const held = asked.length;
  silent.see(key, [{ ...pod, name, address: '10.7.0.1' }]);
  silent.ask(key, { revision: 'new', toAsk: [name], leaving: [name], signal: term.signal });
  await clock.advance(10_000);
  assert.ok(asked.includes('10.7.0.1'), `${held} questions of the other namespace hang`);
  term.abort();
  await clock.advance(0);
});
