/** The connections of one lane: being made, in use, unused, and those that end but are not gone. */
import type { Socket } from 'node:net';
import type { SmtpSession } from '../deliver/session.ts';
import type { BudgetUser } from './connection-budget.ts';
import type { LaneHost } from './lane-host.ts';

export interface ConnectionsOwner extends BudgetUser {
  /** One is gone, for the next hop, too. */
  onGone(): void;
}

export class LaneConnections {
  readonly #owner: ConnectionsOwner;
  readonly #host: Pick<LaneHost, 'budget' | 'now'>;
  readonly #sessions = new Set<SmtpSession>();
  readonly #idle: SmtpSession[] = [];
  connecting = 0;
  #ending = 0;

  constructor(owner: ConnectionsOwner, host: Pick<LaneHost, 'budget' | 'now'>) {
    this.#owner = owner;
    this.#host = host;
  }

  /** Past greeting and EHLO, and not ending. */
  get working(): number {
    return this.#sessions.size;
  }

  /** That will take mail, or may. */
  get count(): number {
    return this.#sessions.size + this.connecting;
  }

  /** As the next hop sees it. */
  get open(): number {
    return this.count + this.#ending;
  }

  add(session: SmtpSession): void {
    this.#sessions.add(session);
    session.onClose(ending => this.#onClose(session, ending));
  }

  putAside(session: SmtpSession): void {
    if (!session.usable) return;
    session.idleSinceMs = this.#host.now();
    this.#idle.push(session);
    this.#host.budget.hasIdle(this.#owner, true);
  }

  takeIdle(): SmtpSession | undefined {
    // The one used last: the others may be let go of.
    return this.#take(this.#idle.length - 1);
  }

  /** For a message that met a connection that was closed: another used one may be closed as well. */
  takeFresh(): SmtpSession | undefined {
    return this.#take(this.#idle.findIndex(({ transactions }) => transactions === 0));
  }

  /** Ends those that are unused since then, or longer. */
  quitIdle(sinceMs = Number.POSITIVE_INFINITY): void {
    for (const session of [...this.#idle]) if (session.idleSinceMs <= sinceMs) session.quit();
  }

  /** Ends unused ones, the oldest first, while there are more than that in all. */
  quitAbove(most: number): void {
    for (const session of [...this.#idle]) if (this.count > most) session.quit();
  }

  /** Breaks off what is under way. */
  abort(): void {
    for (const session of [...this.#sessions]) session.destroy('ShuttingDown');
  }

  #take(at: number): SmtpSession | undefined {
    const [session] = at < 0 ? [] : this.#idle.splice(at, 1);
    if (this.#idle.length === 0) this.#host.budget.hasIdle(this.#owner, false);
    return session;
  }

  #onClose(session: SmtpSession, ending: Socket): void {
    this.#sessions.delete(session);
    const at = this.#idle.indexOf(session);
    if (at >= 0) this.#idle.splice(at, 1);
    if (this.#idle.length === 0) this.#host.budget.hasIdle(this.#owner, false);
    if (!ending.closed) {
      this.#ending += 1;
      ending.once('close', () => {
        this.#ending -= 1;
        this.#owner.onGone();
      });
    }
    this.#host.budget.release();
  }
}
