/** Who holds leases: this opening of the queue. Tokens are `<owner>.<call>.<number>` with the partition before the call: each fits one lease ever. */
import { randomBytes } from 'node:crypto';

/** Without a sign of life for so long, an owner counts as dead and its leases are taken over. */
export const ownerTtlMs = 10_000;
export const beatEveryMs = ownerTtlMs / 4;

export class Owner {
  readonly name = randomBytes(9).toString('base64url');
  #calls = 0;

  /** A name that no call had before. */
  nextCall(partition: number): string {
    this.#calls += 1;
    return `${partition}-${this.#calls.toString(36)}`;
  }

  token(call: string, number: number): string {
    return `${this.name}.${call}.${number}`;
  }
}

/** Undefined for what never was a token. */
export function partitionOfToken(token: string): number | undefined {
  const partition = /^[\w-]+\.(\d+)-[0-9a-z]+\.\d+$/.exec(token)?.[1];
  return partition === undefined ? undefined : Number(partition);
}
