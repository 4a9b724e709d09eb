/** The table of lanes: made when mail comes for a next hop, forgotten when it has had none for a while (G7). */
import { TtlCache } from '../deliver/ttl-cache.ts';
import { Lane } from './lane.ts';
import type { LaneHost, LaneRoute } from './lane-host.ts';

const maxLanes = 10_000;
const unusedMs = 60_000;
/** Longer than the longest rest, so that a lane in trouble keeps its count. */
const unusedRestedMs = 1_800_000;
const maxDestinations = 50_000;
const destinationTtlMs = 600_000;

export class Lanes {
  readonly #byKey = new Map<string, Lane>();
  readonly #host: LaneHost;
  /** Which lane a destination went through last, for `hasRoom`. */
  readonly #ofDestination: TtlCache<Lane>;

  constructor(host: LaneHost) {
    this.#host = host;
    this.#ofDestination = new TtlCache(maxDestinations, () => host.now());
  }

  get(route: LaneRoute, destination: string): Lane {
    let lane = this.#byKey.get(route.key);
    if (lane === undefined) {
      if (this.#byKey.size >= maxLanes) this.#forgetUnused(0);
      lane = new Lane(route, this.#host);
      this.#byKey.set(route.key, lane);
    }
    if (this.#ofDestination.get(destination) !== lane) this.#ofDestination.set(destination, lane, destinationTtlMs);
    return lane;
  }

  hasRoom(destination: string): boolean {
    return this.#ofDestination.get(destination)?.hasRoom ?? true;
  }

  /** Of the lane that the destination went through last. */
  endRest(destination: string): void {
    this.#ofDestination.get(destination)?.endRest();
  }

  counts(): { readonly open: number; readonly resting: number } {
    let resting = 0;
    for (const lane of this.#byKey.values()) if (lane.resting) resting += 1;
    return { open: this.#byKey.size - resting, resting };
  }

  sweep(nowMs: number): void {
    for (const lane of this.#byKey.values()) lane.sweep(nowMs);
    this.#forgetUnused(unusedMs);
  }

  stop(): void {
    for (const lane of this.#byKey.values()) lane.stop();
  }

  abort(): void {
    for (const lane of this.#byKey.values()) lane.abort();
  }

  #forgetUnused(forMs: number): void {
    const nowMs = this.#host.now();
    for (const [key, lane] of this.#byKey) {
      const keptMs = lane.troubled && forMs > 0 ? unusedRestedMs : forMs;
      if (!lane.unused || nowMs - lane.lastUsedMs < keptMs) continue;
      this.#host.budget.forget(lane);
      this.#byKey.delete(key);
    }
  }
}
