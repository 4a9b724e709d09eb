/** One transaction as it goes: what was answered so far, and what that comes to. No I/O: `session` drives it. */
import type { Reply } from '../smtp/reply.ts';
import type { Message } from './message-writer.ts';
import type { DeferReason } from './outcome.ts';

/** Command lines end in CRLF. */
export interface Transaction extends Message {
  readonly mail: string;
  readonly rcpts: readonly string[];
}

export interface TransactionResult {
  readonly mail: Reply | undefined;
  /** As long as `rcpts`; undefined where the transaction ended before. */
  readonly rcpts: readonly (Reply | undefined)[];
  /** The reply that decides over the accepted recipients: to the message, or to a refused DATA. */
  readonly end: Reply | undefined;
  /** Why the connection cannot go on. */
  readonly fault: Fault | undefined;
}

export interface Fault {
  readonly reason: DeferReason;
  /** The 421 that closed the connection, wherever it came. */
  readonly reply: Reply | undefined;
  readonly detail: string;
  /** The connection died before any reply of this transaction. */
  readonly silent: boolean;
}

/** Which reply comes next. */
export type Awaiting = 'Nothing' | 'Reset' | 'Mail' | 'Rcpt' | 'Data' | 'Discard' | 'End';

const afterContent: Partial<Record<DeferReason, DeferReason>> = {
  ConnectionLost: 'ConnectionLostAfterData',
  CommandTimeout: 'CommandTimeoutAfterData',
};

export class RunningTransaction {
  readonly transaction: Transaction;
  /** Some recipient was. */
  accepted = false;
  end: Reply | undefined;
  /** Every byte of the message was handed to the socket. */
  contentSent = false;
  bdat = false;
  /** Something was answered. */
  heard = false;
  #mail: Reply | undefined;
  readonly #rcpts: (Reply | undefined)[];
  #answered = 0;
  readonly #resolve: (result: TransactionResult) => void;

  constructor(transaction: Transaction, resolve: (result: TransactionResult) => void) {
    this.transaction = transaction;
    this.#rcpts = new Array<Reply | undefined>(transaction.rcpts.length).fill(undefined);
    this.#resolve = resolve;
  }

  /** The command of the recipient that was not yet answered; undefined when all were. */
  get nextRcpt(): string | undefined {
    return this.transaction.rcpts[this.#answered];
  }

  takeMail(answer: Reply): void {
    this.#mail = answer;
  }

  takeRcpt(answer: Reply): void {
    this.#rcpts[this.#answered] = answer;
    this.#answered += 1;
    if (isPositive(answer) && this.#mail !== undefined && isPositive(this.#mail)) this.accepted = true;
  }

  /** The 421 stands in the place of the reply that was to come. */
  take421(awaiting: Awaiting, answer: Reply): void {
    if (awaiting === 'Mail') this.#mail = answer;
    else if (awaiting === 'Rcpt') this.#rcpts[this.#answered] = answer;
    else if (this.accepted) this.end = answer;
  }

  /** G2: the next hop may have the message and we cannot know; it is sent again and may arrive twice. */
  reasonOfLoss(reason: DeferReason): DeferReason {
    // With everything in one write, nothing was taken when sender or all recipients were refused before the end.
    const couldBeTaken = this.accepted || this.#answered < this.#rcpts.length;
    const afterData = this.contentSent && this.end === undefined && couldBeTaken;
    return afterData ? (afterContent[reason] ?? reason) : reason;
  }

  resolve(fault?: Omit<Fault, 'silent'>): void {
    const { end, heard } = this;
    this.#resolve({ mail: this.#mail, rcpts: this.#rcpts, end, fault: fault && { ...fault, silent: !heard } });
  }
}

export function isPositive(answer: Reply): boolean {
  return answer.code >= 200 && answer.code < 300;
}
