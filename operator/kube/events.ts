/**
 * Events on objects: what `kubectl describe` shows. A pass says what it sees each time, so the same event (object, type, reason, action,
 * note) within its window is one Event with a count. An object whose note keeps changing gets one combined Event per reason, and
 * an object that says too much is cut off for a while: etcd is everybody's.
 *
 * Recording never waits and never fails: an event is told once, to whoever looks, and is not worth a reconciliation.
 */
import { createHash } from 'node:crypto';
import type { Clock } from '../../relay/clock.ts';
import type { Log } from '../../relay/log.ts';
import type { KubeClient } from './client.ts';
import { isNotFound } from './errors.ts';
import { combinedNote, type EventLimits, EventShares, forgetOldest } from './event-shares.ts';
import { microTime } from './lease-record.ts';
import type { MetricSink } from './metrics.ts';
import { type KubeObject, pathOf, type Resource } from './object.ts';

export interface Happening {
  readonly type: 'Normal' | 'Warning';
  /** As of conditions: a documented constant. */
  readonly reason: string;
  /** What was done or tried, in a word: `Apply`, `Rotate`. */
  readonly action: string;
  readonly note: string;
}

export interface EventRecorder {
  record(regarding: KubeObject, happening: Happening): void;
  /** Sends what is recorded, until the signal is aborted; then what is left, within a moment. */
  run(signal: AbortSignal): Promise<void>;
}

export interface RecorderOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: MetricSink;
  /** `postroad.dev/operator`. */
  readonly controller: string;
  /** Which replica. */
  readonly instance: string;
  readonly limits?: Partial<EventLimits>;
}

/** As client-go: a burst of 25 for an object, then one each 5 minutes; 10 different notes in a window. */
const defaultLimits: EventLimits = {
  windowMs: 360_000,
  notes: 10,
  burst: 25,
  refillMs: 300_000,
  remembered: 4096,
  waiting: 1000,
};

const resource: Resource = { apiVersion: 'events.k8s.io/v1', kind: 'Event', plural: 'events', isNamespaced: true };
/** RFC 1123 and Kubernetes' own limits. */
const longestNote = 1024;
const longestName = 253;
const sendTimeoutMs = 5000;
const farewellMs = 2000;

interface Series {
  readonly name: string;
  readonly regarding: Reference;
  readonly happening: Happening;
  readonly firstTimeMs: number;
  count: number;
  lastTimeMs: number;
  isSent: boolean;
  isWaiting: boolean;
}

export function createEventRecorder(options: RecorderOptions): EventRecorder {
  const { client, clock, log, metrics, controller, instance } = options;
  const limits = { ...defaultLimits, ...options.limits };
  const series = new Map<string, Series>();
  const shares = new EventShares(clock, limits);
  const waiting: Series[] = [];
  let wake: (() => void) | undefined;

  const count = (result: 'Created' | 'Repeated' | 'Dropped' | 'Failed'): void =>
    metrics.add('postroad_operator_events_total', { result });

  function enqueue(one: Series): void {
    if (one.isWaiting) return;
    if (waiting.length >= limits.waiting) {
      count('Dropped');
      return;
    }
    one.isWaiting = true;
    waiting.push(one);
    wake?.();
  }

  function record(regarding: KubeObject, given: Happening): void {
    const object = referenceTo(regarding);
    const note = shares.combine(object.uid, given);
    const happening = { ...given, note };
    const key = keyOfSeries(object, happening);
    const known = series.get(key);
    const isRunning = known !== undefined && clock.now() - known.lastTimeMs < limits.windowMs;
    if (isRunning) {
      known.count += 1;
      known.lastTimeMs = clock.now();
    }
    if (!shares.spend(object.uid)) count('Dropped');
    else if (isRunning) enqueue(known);
    else enqueue(begin(key, object, happening));
  }

  function begin(key: string, regarding: Reference, happening: Happening): Series {
    const times = { firstTimeMs: clock.now(), lastTimeMs: clock.now() };
    const name = eventName(regarding, key, clock.now());
    const fresh: Series = { name, regarding, happening, ...times, count: 1, isSent: false, isWaiting: false };
    series.delete(key);
    series.set(key, fresh);
    forgetOldest(series, limits.remembered);
    return fresh;
  }

  function bodyOf({ name, regarding, happening, firstTimeMs, lastTimeMs, count: times }: Series): object {
    return {
      apiVersion: resource.apiVersion,
      kind: resource.kind,
      metadata: { name, namespace: regarding.namespace ?? 'default' },
      eventTime: microTime(firstTimeMs),
      type: happening.type,
      reason: happening.reason,
      action: happening.action,
      note: happening.note.slice(0, longestNote),
      regarding,
      reportingController: controller,
      reportingInstance: instance,
      ...(times > 1 ? { series: { count: times, lastObservedTime: microTime(lastTimeMs) } } : {}),
    };
  }

  async function send(one: Series, signal: AbortSignal): Promise<void> {
    one.isWaiting = false;
    const namespace = one.regarding.namespace ?? 'default';
    const common = { signal, timeoutMs: sendTimeoutMs };
    try {
      if (one.isSent) await repeat(one, namespace, common);
      else
        await client.request({ ...common, method: 'POST', path: pathOf(resource, { namespace }), body: bodyOf(one) });
      count(one.isSent ? 'Repeated' : 'Created');
      one.isSent = true;
    } catch (error) {
      count('Failed');
      log.warn({ err: error, reason: one.happening.reason, name: one.regarding.name }, 'an event was not recorded');
    }
  }

  async function repeat(one: Series, namespace: string, common: { readonly signal: AbortSignal }): Promise<void> {
    const path = pathOf(resource, { namespace, name: one.name });
    // Nothing else of an Event may change.
    const body = { series: { count: one.count, lastObservedTime: microTime(one.lastTimeMs) } };
    try {
      await client.request({ ...common, method: 'PATCH', path, body, contentType: 'application/merge-patch+json' });
    } catch (error) {
      if (!isNotFound(error)) throw error;
      // Events live for an hour; a series may outlive its own.
      await client.request({ ...common, method: 'POST', path: pathOf(resource, { namespace }), body: bodyOf(one) });
    }
  }

  return {
    record,
    async run(signal) {
      const stop = (): void => wake?.();
      signal.addEventListener('abort', stop, { once: true });
      while (!signal.aborted) {
        const next = waiting.shift();
        if (next !== undefined) await send(next, signal);
        else
          await new Promise<void>(resolve => {
            wake = resolve;
          });
      }
      signal.removeEventListener('abort', stop);
      const farewell = AbortSignal.timeout(farewellMs);
      for (let next = waiting.shift(); next !== undefined && !farewell.aborted; next = waiting.shift()) {
        await send(next, farewell);
      }
    },
  };
}

/** What an Event says of its object; a series outlives the object as it was, and must not hold it. */
interface Reference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace: string | undefined;
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string | undefined;
}

function referenceTo({ apiVersion, kind, metadata }: KubeObject): Reference {
  const { namespace, name, uid = '', resourceVersion } = metadata;
  return { apiVersion, kind, namespace, name, uid, resourceVersion };
}

function keyOfSeries({ uid }: Reference, { type, reason, action, note }: Happening): string {
  return JSON.stringify([uid, type, reason, action, note.startsWith(combinedNote) ? combinedNote : note]);
}

/** As kubectl expects: the object's name, a dot, and something of its own. */
function eventName({ name }: Reference, key: string, timeMs: number): string {
  const own = createHash('sha256').update(`${key} ${timeMs}`).digest('hex').slice(0, 16);
  return `${name.slice(0, longestName - own.length - 1)}.${own}`;
}
