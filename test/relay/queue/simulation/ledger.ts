/** What the relays of a schedule were told, recipient by recipient, and what must follow from it. */
import assert from 'node:assert/strict';
import type { Claim, NewMessage, Outcome, QueueTotals } from '../../../../relay/queue/queue.ts';

interface Entry {
  /** Final settlements that were acknowledged. */
  acknowledged: number;
  /** Final settlements of which nobody knows. */
  unknown: number;
}

interface Lease {
  readonly keys: Set<string>;
  expiryMs: number;
}

export class Ledger {
  readonly #entries = new Map<string, Entry>();
  readonly #kept = new Set<string>();
  readonly #leases = new Map<string, Lease>();
  /** By recipient: whose lease was given out last. */
  readonly #holder = new Map<string, string>();

  /** `known`: it was acknowledged; else it may be there or not. */
  enqueued({ id, recipients }: NewMessage, known: boolean): void {
    for (const index of recipients.keys()) {
      this.#entry(`${id} ${index}`);
      if (known) this.#kept.add(`${id} ${index}`);
    }
  }

  /** Who is not sure of it asks before he delivers: what others have settled meanwhile comes late, and goes no further. */
  leased(claim: Claim, { expiryMs, isSure }: { readonly expiryMs: number; readonly isSure: boolean }): void {
    const keys = new Set(keysOf(claim, claim.recipients));
    for (const key of keys) {
      if (isSure) assert.equal(this.#entry(key).acknowledged, 0, `${key} was given out after it was settled`);
    }
    this.#leases.set(claim.token, { keys, expiryMs });
    for (const key of keys) this.#holder.set(key, claim.token);
  }

  renewed(token: string, expiryMs: number): void {
    const lease = this.#leases.get(token);
    if (lease !== undefined) lease.expiryMs = expiryMs;
  }

  /** Whoever leased it is sure that nobody else has. */
  sure({ token, message, recipients }: Claim): void {
    for (const { index } of recipients) {
      const key = `${message.id} ${index}`;
      assert.equal(this.#holder.get(key), token, `${key} was taken over from one who is sure of it`);
    }
  }

  settling({ token }: Claim): void {
    assert.ok(this.#leases.has(token));
  }

  settled(claim: Claim, outcomes: readonly Outcome[], how: 'acknowledged' | 'unknown' | 'refused'): void {
    this.#leases.delete(claim.token);
    const final = outcomes.filter(({ result }) => result !== 'Deferred');
    for (const key of keysOf(claim, final)) {
      const entry = this.#entry(key);
      if (how === 'acknowledged') entry.acknowledged += 1;
      else if (how === 'unknown') entry.unknown += 1;
      assert.ok(entry.acknowledged <= 1, `${key} was settled twice`);
    }
  }

  /** Nothing is queued any more. */
  close({ accepted, delivered, failed, discarded }: QueueTotals): void {
    assert.equal(accepted, delivered + failed + discarded, 'books');
    assert.ok(accepted >= this.#kept.size, `${accepted} accepted, ${this.#kept.size} acknowledged`);
    assert.ok(accepted <= this.#entries.size, `${accepted} accepted, ${this.#entries.size} ever sent`);
    for (const key of this.#kept) {
      const { acknowledged, unknown } = this.#entry(key);
      assert.ok(
        acknowledged === 1 || (acknowledged === 0 && unknown > 0),
        `${key} was lost: settled ${acknowledged} times`,
      );
    }
  }

  #entry(key: string): Entry {
    const known = this.#entries.get(key);
    if (known !== undefined) return known;
    const made = { acknowledged: 0, unknown: 0 };
    this.#entries.set(key, made);
    return made;
  }
}

function keysOf({ message: { id } }: Claim, recipients: readonly { readonly index: number }[]): string[] {
  return recipients.map(({ index }) => `${id} ${index}`);
}
