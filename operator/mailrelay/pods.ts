/**
 * What pods say that they run (docs/decisions/0002-how-pods-report.md), in memory alone: after a restart they are asked anew. A pod is asked while
 * its answer would tell something new, soon at first and then ever more slowly; nothing is asked while nothing changes. While it says that it
 * runs something older, it is nudged again a few times: kubelet may have looked before it had seen the change.
 */
import type { Clock } from '../../relay/clock.ts';
import type { Log } from '../../relay/log.ts';
import type { PodQuestion } from './ask-pod.ts';
import { createLimit } from './limit.ts';
import type { PodReport } from './pod-report.ts';

export interface SeenPod {
  readonly name: string;
  readonly uid: string;
  readonly address: string | undefined;
  readonly ready: boolean;
  readonly terminating: boolean;
  /** In the Service, as far as its label says. */
  readonly isServing: boolean;
}

export interface Heard extends PodReport {
  /** Said after it had left its Service, and clients had had time to notice. */
  readonly isAfterService: boolean;
}

export interface Nudged {
  readonly revision: string | undefined;
  readonly times: number;
}

export interface Wanted {
  /** What pods should run; undefined while there is nothing. */
  readonly revision: string | undefined;
  /** Names of those whose answer would tell something new. */
  readonly toAsk: readonly string[];
  /** Names of those that are asked until they are empty. */
  readonly leaving: readonly string[];
  readonly signal: AbortSignal;
}

export interface PodReports {
  /** Tells who is there. Pods that are gone, or not ready, are no longer believed. */
  see(relayKey: string, pods: readonly SeenPod[]): void;
  heard(relayKey: string, podName: string): Heard | undefined;
  /** How many times it should have been nudged again to a revision. */
  nudged(relayKey: string, podName: string): Nudged;
  /**
   * It was there when this process first looked, and has not been asked in vain yet: what its relay's status says of it stands, or each new
   * leader would take back and repeat what all statuses say.
   */
  isInherited(relayKey: string, podName: string): boolean;
  /** Why a pod that is not ready says that its shared queue takes no mail; none where it has not said so. */
  storeTroubles(relayKey: string, podName: string): readonly string[];
  /** Names of pods that said last that they hold no mail, when they took none any more: they may be ended. */
  emptied(relayKey: string): ReadonlySet<string>;
  ask(relayKey: string, wanted: Wanted): void;
  forget(relayKey: string): void;
}

export interface PodReportsOptions {
  readonly clock: Clock;
  readonly random: () => number;
  readonly port: number;
  readonly log: Log;
  ask(question: PodQuestion): Promise<PodReport | undefined>;
  /** Something that the relay's next pass should know. */
  touchRelay(key: string): void;
}

interface PodRecord {
  pod: SeenPod;
  heard: Heard | undefined;
  outOfServiceTimeMs: number | undefined;
  isInherited: boolean;
  nudged: Nudged;
  storeTroubles: readonly string[];
  asking: { readonly purpose: string; readonly stop: AbortController } | undefined;
}

const unasked = {
  heard: undefined,
  outOfServiceTimeMs: undefined,
  nudged: { revision: undefined, times: 0 },
  storeTroubles: [] as readonly string[],
  asking: undefined,
};

/** kubelet and the node stand in between: the first answers come within a moment of the nudge, or after a start. */
const firstWaitsMs = [50, 100, 200, 400, 800, 1600, 3000, 5000, 10_000, 20_000, 30_000] as const;
const longestWaitMs = 60_000;
/** Since it was first asked for a revision, or nudged to it again. After the last, kubelet looks within its own period, a minute or so. */
const nudgesAfterMs = [1000, 2000, 5000] as const;
const whileLeavingMs = 3000;
/** For endpoints to reach every node, and for a client that is about to connect. */
const afterServiceMs = 2000;
/** Pods that answer must not wait behind those that do not. */
const promptAttempts = 6;
const promptQuestions = { most: 128, mostOfOne: 32 };
const lateQuestions = { most: 32, mostOfOne: 8 };

export function createPodReports(options: PodReportsOptions): PodReports {
  const { clock, random, port, log, ask } = options;
  const relays = new Map<string, Map<string, PodRecord>>();
  const limits = { prompt: createLimit(promptQuestions), late: createLimit(lateQuestions) };

  function recordsOf(relayKey: string): Map<string, PodRecord> {
    const known = relays.get(relayKey) ?? new Map<string, PodRecord>();
    relays.set(relayKey, known);
    return known;
  }

  function seeOne(records: Map<string, PodRecord>, pod: SeenPod, isFirst: boolean): void {
    const before = records.get(pod.name);
    if (before !== undefined && before.pod.uid !== pod.uid) stop(before);
    const record = before?.pod.uid === pod.uid ? before : { pod, isInherited: isFirst, ...unasked };
    record.pod = pod;
    if (pod.isServing) record.outOfServiceTimeMs = undefined;
    else record.outOfServiceTimeMs ??= clock.now();
    // What it said before it was restarted, or put back into service, says nothing of now.
    if (!pod.ready && !pod.terminating) record.heard = undefined;
    if (!pod.ready) record.isInherited = false;
    else record.storeTroubles = [];
    if (pod.isServing && record.heard?.isAfterService === true)
      record.heard = { ...record.heard, isAfterService: false };
    records.set(pod.name, record);
  }

  function dropGone(records: Map<string, PodRecord>, names: ReadonlySet<string>): void {
    for (const [name, record] of records) {
      if (names.has(name)) continue;
      stop(record);
      records.delete(name);
    }
  }

  async function keepAsking(relayKey: string, record: PodRecord, asking: Asking): Promise<void> {
    const { isLeaving, signal } = asking;
    let untilNudgeMs = Number.POSITIVE_INFINITY;
    for (let attempt = 0; ; attempt++) {
      await clock.sleep(Math.min(waitMs(attempt, isLeaving) * (0.9 + 0.2 * random()), untilNudgeMs), signal);
      const answer = await askOnce(namespaceOf(relayKey), asking, attempt);
      const isNews = answer === undefined ? missed(record, attempt) : note(record, answer);
      if (isNews) options.touchRelay(relayKey);
      if (isAllToldBy(record, asking, answer)) return;
      if (nudgeIfDue(record, asking, answer)) {
        options.touchRelay(relayKey);
        attempt = -1;
      }
      untilNudgeMs = nudgeTimeMs(record, asking, answer) - clock.now();
    }
  }

  /** True when it is. */
  function nudgeIfDue(record: PodRecord, asking: Asking, answer: PodReport | undefined): boolean {
    if (clock.now() < nudgeTimeMs(record, asking, answer)) return false;
    record.nudged = { revision: asking.revision, times: timesNudged(record, asking) + 1 };
    asking.sinceMs = clock.now();
    return true;
  }

  async function askOnce(namespace: string, asking: Asking, attempt: number): Promise<PodReport | undefined> {
    const { address, isLeaving, signal } = asking;
    const limit = attempt < promptAttempts || isLeaving ? limits.prompt : limits.late;
    const answer = await limit(namespace, async () =>
      signal.aborted ? undefined : await ask({ address, port, signal }),
    );
    signal.throwIfAborted();
    return answer;
  }

  /** True when it is news: it is no longer taken for what it was. */
  function missed(record: PodRecord, attempt: number): boolean {
    if (!record.isInherited || attempt < promptAttempts) return false;
    record.isInherited = false;
    return true;
  }

  /** True when it is news. */
  function note(record: PodRecord, answer: PodReport): boolean {
    const { heard: before, outOfServiceTimeMs } = record;
    if (!record.pod.ready && !record.pod.terminating) return noteTroubles(record, answer);
    const isAfterService = outOfServiceTimeMs !== undefined && clock.now() >= outOfServiceTimeMs + afterServiceMs;
    record.heard = { ...answer, isAfterService };
    record.isInherited = false;
    return before?.revision !== answer.revision || isEmpty({ heard: before }) !== isEmpty(record);
  }

  /** True when they are news. */
  function noteTroubles(record: PodRecord, { storeTroubles }: PodReport): boolean {
    const before = record.storeTroubles;
    record.storeTroubles = storeTroubles.toSorted();
    return before.join() !== record.storeTroubles.join();
  }

  function startAsking(relayKey: string, record: PodRecord, wanted: Wanted): void {
    const { revision } = wanted;
    const { address, name, ready } = record.pod;
    const isLeaving = wanted.leaving.includes(name);
    const purpose = [address, revision, isLeaving, ready].join(' ');
    if (record.asking?.purpose === purpose) return;
    stop(record);
    if (address === undefined) return;
    const asking = { purpose, stop: new AbortController() };
    record.asking = asking;
    const signal = AbortSignal.any([wanted.signal, asking.stop.signal]);
    const done = (): void => {
      if (record.asking === asking) record.asking = undefined;
    };
    const sinceMs = clock.now();
    keepAsking(relayKey, record, { address, revision, isLeaving, signal, sinceMs }).then(done, (error: unknown) => {
      done();
      if (!signal.aborted) log.error({ err: error, key: relayKey }, 'a pod is no longer asked what it runs');
    });
  }

  const recordOf = (relayKey: string, podName: string): PodRecord | undefined => relays.get(relayKey)?.get(podName);

  return {
    see(relayKey, pods) {
      const isFirst = !relays.has(relayKey);
      const records = recordsOf(relayKey);
      for (const pod of pods) seeOne(records, pod, isFirst);
      dropGone(records, new Set(pods.map(({ name }) => name)));
    },
    heard: (relayKey, podName) => recordOf(relayKey, podName)?.heard,
    nudged: (relayKey, podName) => recordOf(relayKey, podName)?.nudged ?? unasked.nudged,
    storeTroubles: (relayKey, podName) => recordOf(relayKey, podName)?.storeTroubles ?? [],
    isInherited: (relayKey, podName) => recordOf(relayKey, podName)?.isInherited ?? false,
    emptied(relayKey) {
      const records = [...(relays.get(relayKey) ?? [])];
      return new Set(records.filter(([, record]) => isEmpty(record)).map(([name]) => name));
    },
    ask(relayKey, wanted) {
      for (const [name, record] of relays.get(relayKey) ?? []) {
        if (wanted.toAsk.includes(name)) startAsking(relayKey, record, wanted);
        else stop(record);
      }
    },
    forget(relayKey) {
      for (const record of relays.get(relayKey)?.values() ?? []) stop(record);
      relays.delete(relayKey);
    },
  };
}

interface Asking {
  readonly address: string;
  readonly revision: string | undefined;
  readonly isLeaving: boolean;
  readonly signal: AbortSignal;
  /** Since when, or since the last nudge. */
  sinceMs: number;
}

function namespaceOf(relayKey: string): string {
  return relayKey.slice(0, relayKey.indexOf('/'));
}

function waitMs(attempt: number, isLeaving: boolean): number {
  return isLeaving ? whileLeavingMs : (firstWaitsMs[attempt] ?? longestWaitMs);
}

/** Why a pod is not ready may change; what it runs is asked when it is. */
function isAllToldBy({ pod }: PodRecord, { revision, isLeaving }: Asking, answer: PodReport | undefined): boolean {
  return pod.ready && answer?.revision === revision && !isLeaving;
}

/** Never, unless it is ready and says that it runs something older. */
function nudgeTimeMs(record: PodRecord, asking: Asking, answer: PodReport | undefined): number {
  const { revision } = asking;
  if (!record.pod.ready) return Number.POSITIVE_INFINITY;
  if (answer === undefined || revision === undefined || answer.revision === revision) return Number.POSITIVE_INFINITY;
  return asking.sinceMs + (nudgesAfterMs[timesNudged(record, asking)] ?? Number.POSITIVE_INFINITY);
}

function timesNudged({ nudged }: PodRecord, { revision }: Asking): number {
  return nudged.revision === revision ? nudged.times : 0;
}

function stop(record: PodRecord): void {
  record.asking?.stop.abort();
  record.asking = undefined;
}

/** Nothing in its queue, nobody there to put something in, and nobody new who would come. */
function isEmpty({ heard }: Pick<PodRecord, 'heard'>): boolean {
  return heard?.isAfterService === true && heard.queuedRecipients === 0 && heard.openSessions === 0;
}
