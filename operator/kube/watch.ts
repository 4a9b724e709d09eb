import type { Clock } from '../../relay/clock.ts';
import type { KubeClient } from './client.ts';
import { linkedSignal, orAborted } from './deadline.ts';
import { ApiError, ConnectionError, type Status } from './errors.ts';
import { acceptOf, type Selection } from './list.ts';
import { type KubeObject, pathOf } from './object.ts';
import type { Uptime } from './uptime.ts';

export interface WatchLimits {
  /** Without a line, bookmarks included, a watch counts as dead after this. */
  readonly silenceMs: number;
  /** The server is asked to end the watch within this range, so that watches spread over its replicas again. */
  readonly shortestSeconds: number;
  readonly longestSeconds: number;
}

export interface WatchOptions extends Selection {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly uptime: Uptime;
  readonly random: () => number;
  readonly limits: WatchLimits;
  readonly resourceVersion: string;
  readonly signal: AbortSignal;
}

export interface WatchEvent<T extends KubeObject> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK';
  /** Of a bookmark: only its resourceVersion. */
  readonly object: T;
}

/** The changes since `resourceVersion`, until the server ends the watch in order. Every other end is thrown. */
export async function* readWatch<T extends KubeObject>(options: WatchOptions): AsyncGenerator<WatchEvent<T>> {
  const { client, clock, uptime, limits, resource, namespace, labelSelector, fieldSelector, resourceVersion } = options;
  const { shortestSeconds, longestSeconds, silenceMs } = limits;
  const timeoutSeconds = Math.round(shortestSeconds + options.random() * (longestSeconds - shortestSeconds));
  using life = linkedSignal(options.signal);
  const lines = await client.watch({
    path: pathOf(resource, { namespace }),
    query: { watch: true, allowWatchBookmarks: true, timeoutSeconds, resourceVersion, labelSelector, fieldSelector },
    accept: acceptOf(options.parts, 'PartialObjectMetadata'),
    signal: life.signal,
  });
  let patience = uptime.patience(silenceMs);
  const guard = guardSilence();
  try {
    for await (const line of lines) {
      patience = uptime.patience(silenceMs);
      yield eventOf<T>(line);
    }
  } finally {
    life.abort(new ConnectionError(`watch ${resource.plural}`, 'Silent'));
    await guard;
  }

  async function guardSilence(): Promise<void> {
    // By the steady clock: a wall clock that is set is no silence.
    while (!patience.isOver() && !life.signal.aborted) {
      await orAborted(clock.sleep(patience.leftMs(), life.signal), life.signal);
    }
    life.abort(new ConnectionError(`watch ${resource.plural}`, 'Silent'));
  }
}

function eventOf<T extends KubeObject>(line: unknown): WatchEvent<T> {
  if (typeof line !== 'object' || line === null || !('type' in line) || !('object' in line)) throw notAnEvent();
  const { type, object } = line;
  if (typeof object !== 'object' || object === null) throw notAnEvent();
  if (type === 'ERROR') {
    const status = object as Status;
    throw new ApiError('watch', { ...status, code: status.code ?? 500 });
  }
  if (!isEventType(type) || !('metadata' in object)) throw notAnEvent();
  return { type, object: object as T };
}

function isEventType(type: unknown): type is WatchEvent<KubeObject>['type'] {
  return type === 'ADDED' || type === 'MODIFIED' || type === 'DELETED' || type === 'BOOKMARK';
}

function notAnEvent(): ConnectionError {
  return new ConnectionError('watch', 'BadAnswer', new Error('a line that is no event'));
}
