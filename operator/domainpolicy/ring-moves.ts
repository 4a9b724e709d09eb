/** The keys of one algorithm while a pass moves them, oldest first, and what is to be told of it. */
import { domainsIn, type KeyPlace, type RingKey } from './key-ring.ts';
import type { RotationEvent, RotationReason } from './rotation-reasons.ts';

export class RingMoves {
  #keys: readonly RingKey[];
  readonly events: RotationEvent[] = [];

  constructor(keys: readonly RingKey[]) {
    this.#keys = keys;
  }

  get keys(): readonly RingKey[] {
    return this.#keys;
  }

  /** Those that sign, or may yet. */
  get living(): RingKey[] {
    return this.#keys.filter(({ state }) => state !== 'Retiring');
  }

  get retiring(): RingKey[] {
    return this.#keys.filter(({ state }) => state === 'Retiring');
  }

  /** Returns the key as it is now. */
  change(key: RingKey, next: Partial<RingKey>): RingKey {
    const changed = { ...key, ...next };
    this.#keys = this.#keys.map(one => (one.selector === key.selector ? changed : one));
    return changed;
  }

  /** How far a key is at these domains from now on. */
  place(key: RingKey, state: KeyPlace['state'], domains: readonly string[]): RingKey {
    const places = key.places.map(place => (domains.includes(place.domain) ? { ...place, state } : place));
    return this.change(key, { places, state: key.state === 'Retiring' ? 'Retiring' : stateOf(places) });
  }

  drop(key: RingKey): void {
    this.#keys = this.#keys.filter(({ selector }) => selector !== key.selector);
  }

  /** It signs nothing any more; one that has never signed is asked for by nobody. */
  retire(key: RingKey): void {
    if (key.signedMs === undefined) this.drop(key);
    else this.place(this.change(key, { state: 'Retiring', leftMs: undefined }), 'Seen', domainsIn(key, 'Signs'));
    if (key.signedMs === undefined && key.isRevoked) this.tell('KeyWithdrawn', key);
    if (key.signedMs !== undefined && !key.isRevoked) this.tell('KeyRetired', key);
  }

  tell(reason: RotationReason, { selector, algorithm }: RingKey, domains: readonly string[] = []): void {
    this.events.push({ reason, selector, algorithm, domains });
  }
}

/** Of a key that is not replaced. */
export function stateOf(places: readonly KeyPlace[]): RingKey['state'] {
  const isAny = (state: KeyPlace['state']): boolean => places.some(place => place.state === state);
  return isAny('Signs') ? 'Active' : isAny('Seen') ? 'Published' : 'Pending';
}
