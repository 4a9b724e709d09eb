/**
 * The `Redis` queue: shared by any number of relays, each of which may die at any instant.
 *
 *   accept ──openSpool──► memory ≤ 256 KiB, else a file ──enqueue──► pieces, if large ──► one script ──► barrier ──► 250
 *   schedule ──claim, settle, renew──► one script each             (outbox.ts: all that is asked in a turn, in one write)
 *
 * One script is one transition, on the server's clock. Leases carry tokens that are used once: whoever comes with one that ended is refused.
 * Each opening of the queue is an owner that says four times in ten seconds that it lives; when it stops, others take its leases over.
 *
 * Round trips of a message that is delivered at once: enqueue and settle, two, each shared with all that was asked at the same time; with one
 * that waits a claim, shared by all that it brings. A content over 256 KiB adds one for each 256 KiB, both ways. A claim of a Cluster asks
 * each of its 8 partitions once, and visits those that have something; what is asked of one waits for no other (attention.ts, life.ts).
 *
 * A crash, by what was under way:
 *   uploading            the pieces go by themselves after ten minutes. The client got no 250.
 *   enqueue, no answer   stored whole, or not at all: asked again, it says which. When Redis stays away the client is told 451,
 *                        and what was stored all the same is taken back when Redis returns (withdrawals.ts).
 *   enqueue, answered    as durable as `durability` asks (durability.ts).
 *   claimed, delivering  the lease ends with its time or its owner's; delivered twice if the next hop had said 250 already (G2).
 *   claim, no answer     the next claim gives back what that one leased.
 *   settle, no answer    asked again: settled now, or the lease is lost, which here may mean that it was settled before.
 *   Redis restarts       what was acknowledged is in its append-only file, leases too; owners have ten seconds to say that they live.
 *   a replica takes over with Fsync and Replicas it has what was acknowledged, while one was connected.
 */
import {
  type Claim,
  type ClaimRequest,
  type Filter,
  LeaseLostError,
  type NewMessage,
  type Page,
  type Queue,
  type QueueEntry,
  type QueueStats,
  type Settlement,
  type Spool,
} from '../queue.ts';
import { QueueStoreError } from '../sqlite/errors.ts';
import { ContentSpool, type SpoolPlace } from '../sqlite/spool.ts';
import type { Administration, Move } from './administration.ts';
import type { Claiming } from './claiming.ts';
import { parseRecord } from './codec.ts';
import { packContent, RemoteContent, releaseMemory, roomAgainWhenFull } from './content.ts';
import type { Answer, Asking, Question } from './conversation.ts';
import { isUnavailable, mayHaveRun, type OnAbsent } from './errors.ts';
import { homeOf, type Partition } from './keys.ts';
import type { Life } from './life.ts';
import { type Owner, ownerTtlMs, partitionOfToken } from './owner.ts';
import { probeAll } from './probe.ts';
import { bodyOf, bornLeased, refuseWithoutRecipients, toWire, toWireOutcome, type WiredMessage } from './wire.ts';
import type { Withdrawals } from './withdrawals.ts';

export interface RedisQueueParts {
  readonly conversation: Asking;
  readonly partitions: readonly [Partition, ...Partition[]];
  readonly owner: Owner;
  readonly claiming: Claiming;
  readonly administration: Administration;
  readonly life: Life;
  readonly withdrawals: Withdrawals;
  readonly place: SpoolPlace;
  readonly nowMs: () => number;
  readonly onAbsent?: OnAbsent;
  /** Ends what runs beside: signs of life, looks at the servers. */
  readonly stop: () => void;
}

/** Whoever closes does not wait long for a Redis that is away. */
const leaveMs = 1000;

export class RedisQueue implements Queue {
  readonly #parts: RedisQueueParts;
  readonly #under = new Set<Promise<unknown>>();
  #closing: Promise<void> | undefined;

  constructor(parts: RedisQueueParts) {
    this.#parts = parts;
  }

  openSpool(): Spool {
    return new ContentSpool(this.#parts.place);
  }

  enqueue(message: NewMessage, options?: { readonly leaseMs: number }): Promise<Claim[]> {
    return this.#run(() => this.#enqueue(message, options));
  }

  settle(settlement: Settlement): Promise<void> {
    return this.#run(() => this.#settle(settlement));
  }

  async #enqueue(message: NewMessage, options: { readonly leaseMs: number } | undefined): Promise<Claim[]> {
    refuseWithoutRecipients(message);
    const { conversation, owner, nowMs, life } = this.#parts;
    const partition = this.#homeOf(message.id);
    const era = life.era(partition);
    const call = owner.nextCall(partition.number);
    const upload = `${owner.name}.${call}`;
    const leavesSoon = options !== undefined;
    const place = { conversation, partition, upload };
    const content = await packContent(message.content, place, { leavesSoon });
    const tokenOf = options === undefined ? undefined : (number: number) => owner.token(call, number);
    const wired = toWire(message, content, upload, tokenOf);
    const lease = options === undefined ? {} : { leaseMs: options.leaseMs };
    const asked = { message: wired.message, owner: owner.name, ownerTtlMs, ...lease };
    const leaseExpiryTimeMs = nowMs() + (options?.leaseMs ?? 0);
    const bodies = [wired.record, bodyOf(message, content)];
    const store = () => this.#store({ partition, script: 'enqueue', asked, bodies }, wired);
    const answer = await (content.pieces === 0 ? store() : roomAgainWhenFull(place, store));
    const verdict = Number(answer.reply[1]);
    refuseUnfit(verdict, message.id);
    releaseMemory(message.content);
    if (options === undefined || verdict === 2) return [];
    const kept =
      content.pieces === 0
        ? message.content
        : new RemoteContent({ conversation, partition, id: message.id }, parseRecord(wired.record));
    return bornLeased(message, wired.message, { content: kept, leaseExpiryTimeMs, leaseEra: era });
  }

  claim(request: ClaimRequest): Promise<Claim[]> {
    return this.#run(() => this.#parts.claiming.claim(request));
  }

  nextDueTimeMs(): Promise<number | undefined> {
    return this.#run(() => this.#parts.claiming.nextDueTimeMs());
  }

  async suspend(destination: string, untilMs: number): Promise<void> {
    const { conversation, partitions, owner, nowMs } = this.#parts;
    const asked = { owner: owner.name, destination, forMs: untilMs - nowMs() };
    const tell = (partition: Partition) =>
      conversation.ask({ partition, script: 'suspend', asked }, { repeatable: true });
    await this.#run(() => Promise.all(partitions.map(tell)));
  }

  renew(tokens: readonly string[], leaseMs: number): Promise<readonly string[]> {
    return this.#run(() => this.#parts.life.renew(tokens, leaseMs));
  }

  leasePart(token: string): number {
    return partitionOfToken(token) ?? 0;
  }

  leaseEra(part = 0): number | undefined {
    const { life, partitions } = this.#parts;
    const partition = partitions[part];
    return partition !== undefined && life.sure(partition) ? life.era(partition) : undefined;
  }

  async #settle({ claim, outcomes, messages }: Settlement): Promise<void> {
    const { conversation, partitions, owner, nowMs } = this.#parts;
    const partition = partitions[partitionOfToken(claim.token) ?? -1];
    if (partition === undefined || !claim.token.startsWith(`${owner.name}.`))
      throw new LeaseLostError('The lease is of another owner.');
    for (const message of messages) refuseWithoutRecipients(message);
    await this.#refuseKnown(messages, partition);
    const wired: WiredMessage[] = [];
    const bodies: (string | Buffer)[] = [];
    for (const message of messages) {
      const upload = `${owner.name}.${owner.nextCall(partition.number)}`;
      const content = await packContent(message.content, { conversation, partition, upload });
      const packed = toWire(message, content, upload);
      wired.push(packed);
      bodies.push(packed.record, bodyOf(message, content));
    }
    const asked = {
      token: claim.token,
      id: claim.message.id,
      owner: owner.name,
      outcomes: outcomes.map(outcome => toWireOutcome(outcome, nowMs())),
      messages: wired.map(({ message }) => message),
    };
    const question = { partition, script: 'settle', asked, bodies } as const;
    // Also on a server that would lose it: what is delivered and not settled would be delivered again and again.
    const { reply, doubtful } = await conversation.ask(question, { durable: 'WhereItCan', repeatable: true });
    refuseUnsettled(Number(reply[1]), doubtful);
  }

  hold(filter: Filter): Promise<number> {
    return this.#move('hold', filter);
  }

  release(filter: Filter): Promise<number> {
    return this.#move('release', filter);
  }

  retryNow(filter: Filter): Promise<number> {
    return this.#move('retryNow', filter);
  }

  list(filter: Filter, page: { readonly limit: number; readonly after?: string }): Promise<Page<QueueEntry>> {
    return this.#run(() => this.#parts.administration.list(filter, page));
  }

  count(filter: Filter): Promise<number> {
    return this.#run(() => this.#parts.administration.count(filter));
  }

  stats(): Promise<QueueStats> {
    return this.#run(() => this.#parts.administration.stats());
  }

  probe(): Promise<void> {
    return this.#run(() => probeAll(this.#parts));
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** What is leased to us waits again at once, where Redis is there to hear it; else when our time is over. */
  async #close(): Promise<void> {
    const { conversation, partitions, stop } = this.#parts;
    await Promise.allSettled([...this.#under]);
    stop();
    await Promise.allSettled(partitions.map(partition => this.#leave(partition)));
    conversation.close();
  }

  async #leave(partition: Partition): Promise<void> {
    const { conversation, owner } = this.#parts;
    const options = { repeatable: true, withinMs: leaveMs };
    const question = { partition, script: 'leave', asked: { owner: owner.name } } as const;
    for (let left = 1; left > 0; ) left = Number((await conversation.ask(question, options)).reply[1]);
  }

  #run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#closing !== undefined)
      return Promise.reject(new QueueStoreError('POSTROAD_QUEUE_CLOSED', 'The queue is closed.'));
    const under = work();
    this.#under.add(under);
    const done = () => this.#under.delete(under);
    under.then(done, done);
    return under;
  }

  #move(move: Move, filter: Filter): Promise<number> {
    return this.#run(() => this.#parts.administration.move(move, filter));
  }

  async #store(question: Question, wired: WiredMessage): Promise<Answer> {
    try {
      return await this.#parts.conversation.ask(question, { durable: true, repeatable: true });
    } catch (error) {
      // What was not even sent would push out what is in doubt, while a part of the queue is away for long.
      if (isUnavailable(error) && mayHaveRun(error)) this.#parts.withdrawals.add(question.partition, wired);
      throw error;
    }
  }

  #homeOf(id: string): Partition {
    const { partitions } = this.#parts;
    return partitions[homeOf(id, partitions.length)] ?? partitions[0];
  }

  /** A message that a settlement causes is stored beside its cause; its id must be new where it would be by itself, too. */
  async #refuseKnown(messages: readonly NewMessage[], beside: Partition): Promise<void> {
    for (const { id } of messages) {
      const home = this.#homeOf(id);
      if (home !== beside && (await this.#isThere(home, id))) refuseUnfit(-1, id);
    }
  }

  /** Of one that is away nobody knows; ids are random, and what is delivered elsewhere shall not be so again for want of this. */
  async #isThere(home: Partition, id: string): Promise<boolean> {
    try {
      return (await this.#parts.conversation.command(home, ['EXISTS', `${home.base}m:${id}`])) === 1;
    } catch (error) {
      if (isUnavailable(error)) return false;
      throw error;
    }
  }
}

function refuseUnfit(verdict: number, id: string): void {
  if (verdict >= 0) return;
  if (verdict === -1) throw new QueueStoreError('POSTROAD_QUEUE_REFUSED', `The id ${id} is taken.`);
  throw new QueueStoreError('POSTROAD_QUEUE_UNAVAILABLE', 'Redis has lost a content before its message was stored.');
}

function refuseUnsettled(verdict: number, doubtful: boolean): void {
  if (verdict === -3 || verdict === -4) refuseUnfit(verdict + 2, 'of a message to be sent');
  if (verdict >= 0) return;
  throw new LeaseLostError(
    doubtful
      ? 'The lease has ended: by this settlement, whose first answer was lost, or before it.'
      : 'The lease has ended; its outcome was not kept.',
  );
}
