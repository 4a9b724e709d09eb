/**
 * What the pods of each relay run, as far as it was seen since this process leads: how policies learn that they are programmed and that
 * their keys are loaded. Nothing is kept: the first pass over a relay fills its entry anew.
 */

/** A DKIM key in a relay's configuration. */
export interface SigningKey {
  readonly selector: string;
  /** Base domains whose mail it signs; left out: all of the policy. None: it is loaded alone. */
  readonly signsFor?: readonly string[];
}

/** A policy's part of a relay's configuration. */
export interface PolicyPart {
  /** Changes when anything of the policy in the configuration does, its secrets included. */
  readonly digest: string;
  /** Of the policy as the relay's pass saw it: a later one has not been looked at yet. */
  readonly generation: number | undefined;
  /** Selectors of the keys in it. */
  readonly loaded: readonly string[];
  readonly signing: readonly SigningKey[];
}

/** By `namespace/name` of the policy. */
export type PolicyParts = ReadonlyMap<string, PolicyPart>;

export interface RelayState {
  /** Of the configuration that the pods should run; empty while there is none. */
  readonly rendered: PolicyParts;
  /** Of the last configuration that every ready pod was seen to run; undefined: not seen yet. */
  readonly running: PolicyParts | undefined;
}

export class RelayStates {
  readonly #states = new Map<string, RelayState>();

  /** By `namespace/name` of the relay; undefined: not looked at yet. */
  get(relayKey: string): RelayState | undefined {
    return this.#states.get(relayKey);
  }

  /** Returns the policies whose part, rendered or running, differs from before. */
  set(relayKey: string, state: RelayState): string[] {
    const before = this.#states.get(relayKey);
    this.#states.set(relayKey, state);
    const rendered = differing(before?.rendered, state.rendered, part => `${part.generation} ${part.digest}`);
    const running = differing(before?.running, state.running, part => part.digest);
    return [...new Set([...rendered, ...running])];
  }

  delete(relayKey: string): void {
    this.#states.delete(relayKey);
  }
}

function differing(
  before: PolicyParts | undefined,
  after: PolicyParts | undefined,
  said: (part: PolicyPart) => string,
): string[] {
  const keys = new Set([...(before?.keys() ?? []), ...(after?.keys() ?? [])]);
  const of = (parts: PolicyParts | undefined, key: string): string | undefined => {
    const part = parts?.get(key);
    return part && said(part);
  };
  return [...keys].filter(key => of(before, key) !== of(after, key));
}
