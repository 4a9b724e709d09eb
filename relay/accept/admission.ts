/** How many sessions may be open, over all listeners of the relay and for each client address. */
import type { LimitsConfig } from '../config.ts';
import { type Answer, replies } from './replies.ts';

/** One session's, from before its TLS handshake until it is closed and its last message is stored. */
export interface Place {
  /** Again does nothing. */
  release(): void;
}

export class Admission {
  #open = 0;
  readonly #byClient = new Map<string, number>();

  admit(address: string, limits: LimitsConfig): Place | Answer {
    const ofClient = this.#byClient.get(address) ?? 0;
    if (this.#open >= limits.maxSessions) return replies.tooManySessions;
    if (ofClient >= limits.maxSessionsPerClient) return replies.tooManyClientSessions;
    this.#open++;
    this.#byClient.set(address, ofClient + 1);
    let isHeld = true;
    return {
      release: () => {
        if (isHeld) this.#release(address);
        isHeld = false;
      },
    };
  }

  #release(address: string): void {
    this.#open--;
    const left = (this.#byClient.get(address) ?? 1) - 1;
    if (left === 0) this.#byClient.delete(address);
    else this.#byClient.set(address, left);
  }
}
