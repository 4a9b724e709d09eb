/** Tells the other relays of a queue about our lanes, and our lanes what they may have: whatever is due, together, one question at a time and place. */
import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import type { LaneSlots } from '../queue/lane-slots.ts';
import { type LaneMember, type LaneShare, MemberShare, wholeShare } from './lane-share.ts';
import { WakeableSleep } from './wakeable-sleep.ts';

export interface SharedLanesDeps {
  /** Left out: nobody else has lanes. */
  readonly slots: LaneSlots | undefined;
  readonly clock: Clock;
  readonly log: Log;
  /** For tests. */
  readonly monotonicMs?: () => number;
}

/** In one question: some milliseconds in which the server does nothing else. */
const mostAtOnce = 100;
const faultPauseMs = 500;

export class SharedLanes {
  readonly #deps: SharedLanesDeps;
  readonly #monotonicMs: () => number;
  readonly #sleep: WakeableSleep;
  /** Those that have something to say, now or later. */
  readonly #due = new Map<string, MemberShare>();
  /** Places that have not answered yet. */
  readonly #asked = new Set<number>();

  constructor(deps: SharedLanesDeps) {
    this.#deps = deps;
    this.#monotonicMs = deps.monotonicMs ?? (() => performance.now());
    this.#sleep = new WakeableSleep(deps.clock);
  }

  join(member: LaneMember): LaneShare {
    const { slots } = this.#deps;
    if (slots === undefined) return wholeShare;
    return new MemberShare(member, {
      monotonicMs: this.#monotonicMs,
      grantMs: slots.grantMs,
      place: slots.placeOf(member.key),
      onDue: share => {
        this.#due.set(share.key, share);
        this.#sleep.wakeAt(this.#wallTimeOf(share.dueMs));
      },
    });
  }

  /** Until the signal ends it, and `wake` the sleep. */
  async keep(signal: AbortSignal): Promise<void> {
    const { slots } = this.#deps;
    if (slots === undefined) return;
    while (!signal.aborted) {
      this.#tellDue(slots);
      await this.#sleep.until(this.#wallTimeOf(this.#nextMs()));
    }
  }

  wake(): void {
    this.#sleep.wake();
  }

  /** What was open is gone, or soon will be. */
  async leave(): Promise<void> {
    const { slots } = this.#deps;
    if (slots === undefined) return;
    const byPlace = Map.groupBy(this.#due.values(), ({ place }) => place);
    await Promise.all([...byPlace].map(([place, its]) => this.#tell(slots, place, its.slice(0, mostAtOnce))));
  }

  #tellDue(slots: LaneSlots): void {
    const now = this.#monotonicMs();
    const due = [...this.#due.values()].filter(({ dueMs, place }) => dueMs <= now && !this.#asked.has(place));
    for (const [place, its] of Map.groupBy(due, share => share.place)) {
      this.#asked.add(place);
      void this.#tell(slots, place, its.slice(0, mostAtOnce)).finally(() => {
        this.#asked.delete(place);
        this.#sleep.wake();
      });
    }
  }

  /** Never rejects. */
  async #tell(slots: LaneSlots, place: number, due: readonly MemberShare[]): Promise<void> {
    const saidMs = this.#monotonicMs();
    const words = due.map(share => ({ share, word: share.word() }));
    try {
      const grants = await slots.ask(
        place,
        words.map(({ word }) => word),
      );
      for (const [at, { share, word }] of words.entries()) {
        const grant = grants[at];
        const more = grant !== undefined && share.take(word, grant, saidMs);
        if (!more && this.#speaks(share)) this.#due.delete(share.key);
      }
    } catch (cause) {
      this.#deps.log.error({ err: cause, lanes: due.length }, 'lanes could not be shared; tried again shortly');
      for (const { share } of words) if (this.#speaks(share)) share.untold(faultPauseMs);
    }
  }

  /** Not of a lane that was forgotten and made anew: what it had to say would be taken for its successor's. */
  #speaks(share: MemberShare): boolean {
    return this.#due.get(share.key) === share;
  }

  #nextMs(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const { dueMs, place } of this.#due.values()) if (!this.#asked.has(place)) next = Math.min(next, dueMs);
    return next;
  }

  #wallTimeOf(timeMs: number): number {
    return this.#deps.clock.now() + timeMs - this.#monotonicMs();
  }
}
