/**
 * The workloads as passes have written them. Pods and their workload come by two watches: pods that end because none is wanted any more may be seen
 * before the number that said so, and who then decides by the former number makes them anew.
 */
import type { KubeObject } from '../kube/object.ts';

/** A cache that is behind for longer will not catch up: an API server was restored from a backup, say. */
const mostBehindMs = 10_000;

interface Written {
  readonly uid: string | undefined;
  readonly generation: number;
  readonly timeMs: number;
}

export class WrittenWorkloads {
  readonly #written = new Map<string, Written>();

  wrote(relayKey: string, { metadata: { uid, generation } }: KubeObject, nowMs: number): void {
    if (generation === undefined) return;
    const before = this.#written.get(relayKey);
    if (before?.uid === uid && before !== undefined && before.generation >= generation) return;
    this.#written.set(relayKey, { uid, generation, timeMs: nowMs });
  }

  /** `seen` is older than what was written last. */
  isAheadOf(relayKey: string, seen: KubeObject | undefined, nowMs: number): boolean {
    const written = this.#written.get(relayKey);
    if (written === undefined || seen === undefined || seen.metadata.uid !== written.uid) return false;
    const passedMs = nowMs - written.timeMs;
    return (
      (seen.metadata.generation ?? written.generation) < written.generation && passedMs >= 0 && passedMs < mostBehindMs
    );
  }

  forget(relayKey: string): void {
    this.#written.delete(relayKey);
  }
}
