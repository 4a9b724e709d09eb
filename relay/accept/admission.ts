/** How many sessions may be open, over all listeners of the relay and for each client address. */
import type { LimitsConfig } from '../config.ts';
import { type Answer, replies } from './replies.ts';

export class Admission {
  #open = 0;
  readonly #byClient = new Map<string, number>();

  /** Undefined: admitted, and to be released. */
  refuse(address: string, limits: LimitsConfig): Answer | undefined {
    const ofClient = this.#byClient.get(address) ?? 0;
    if (this.#open >= limits.maxSessions) return replies.tooManySessions;
    if (ofClient >= limits.maxSessionsPerClient) return replies.tooManyClientSessions;
    this.#open++;
    this.#byClient.set(address, ofClient + 1);
    return undefined;
  }

  release(address: string): void {
    this.#open--;
    const left = (this.#byClient.get(address) ?? 1) - 1;
    if (left === 0) this.#byClient.delete(address);
    else this.#byClient.set(address, left);
  }
}
