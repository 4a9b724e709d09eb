/** What the sink remembers, and what it decides by: apart from sockets. */
import type { KeptContent, Reception, SinkBehaviour, SinkRecord } from './counting-sink.ts';

export type Verdict = 'take' | 'deferNow' | 'deferAtEnd' | 'refuseNow' | 'refuseAtEnd';

export interface LedgerOptions {
  readonly hashBodies: boolean;
  readonly keptDomain: string | undefined;
}

export class SinkLedger {
  behaviour: SinkBehaviour;
  readonly hashBodies: boolean;
  readonly #keptDomain: string | undefined;
  readonly #contents: KeptContent[] = [];
  readonly receptions: Reception[] = [];
  readonly #connectionEnds = new Map<number, number>();
  readonly #bodies = new Map<string, { sha256: string; header: string; sizeBytes: number }>();
  readonly #attempts = new Map<string, number>();
  readonly #counts = { connections: 0, deferred: 0, refused: 0, droppedBefore: 0, droppedAfter: 0 };

  constructor(behaviour: SinkBehaviour, { hashBodies, keptDomain }: LedgerOptions) {
    this.behaviour = behaviour;
    this.#keptDomain = keptDomain;
    this.hashBodies = hashBodies;
  }

  connect(): number {
    this.#counts.connections += 1;
    return this.#counts.connections;
  }

  disconnect(connection: number): void {
    this.#connectionEnds.set(connection, Date.now());
  }

  /** Refusals hang on the recipient alone, deferrals on the attempt as well. */
  judge(recipient: string, isDsn: boolean): Verdict {
    const { seed, refuse, defer } = this.behaviour;
    const attempt = (this.#attempts.get(recipient) ?? 0) + 1;
    if (defer > 0 || refuse > 0) this.#attempts.set(recipient, attempt);
    const fate = chance(`${seed} refuse ${recipient}`);
    if (!isDsn && fate < refuse) return fate < refuse / 2 ? 'refuseNow' : 'refuseAtEnd';
    const mood = chance(`${seed} defer ${attempt} ${recipient}`);
    if (mood >= defer) return 'take';
    return mood < defer / 2 ? 'deferNow' : 'deferAtEnd';
  }

  /** Whether and when to cut the connection of the transaction with this first recipient. */
  dropsAt(recipient: string): 'before' | 'after' | undefined {
    const { seed, dropBefore, dropAfter } = this.behaviour;
    const fate = chance(`${seed} drop ${this.#attempts.get(recipient) ?? 0} ${recipient}`);
    if (fate < dropBefore) {
      this.#counts.droppedBefore += 1;
      return 'before';
    }
    return fate < dropBefore + dropAfter ? 'after' : undefined;
  }

  /** Said so, to this many recipients. */
  count(what: 'deferred' | 'refused', recipients: number): void {
    this.#counts[what] += recipients;
  }

  take(recipients: readonly string[], how: Omit<Reception, 'recipient' | 'timeMs'>): void {
    const timeMs = Date.now();
    if (how.dropped) this.#counts.droppedAfter += 1;
    for (const recipient of recipients) this.receptions.push({ recipient, timeMs, ...how });
  }

  hashed(recipients: readonly string[], body: { sha256: string; header: string; sizeBytes: number }): void {
    for (const recipient of recipients) this.#bodies.set(recipient, body);
  }

  keeps(recipient: string): boolean {
    return this.#keptDomain !== undefined && recipient.endsWith(`@${this.#keptDomain}`);
  }

  keep(recipient: string, content: Buffer): void {
    this.#contents.push({ recipient, timeMs: Date.now(), content });
  }

  record(): SinkRecord {
    return {
      receptions: this.receptions,
      connectionEnds: this.#connectionEnds,
      bodies: this.#bodies,
      contents: this.#contents,
      counts: { ...this.#counts },
    };
  }
}

/** FNV-1a with a last mixing (murmur3's): a number of [0, 1) from a text, the same in every run. */
export function chance(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
}
