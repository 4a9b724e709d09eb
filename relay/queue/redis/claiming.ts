/**
 * Claims over the partitions of a queue. With one, a script does all of it. With several, one question to each tells which tenants have something,
 * and then each is visited in turn with what the limits leave: bounded by the number of partitions, and fair over all of them. A partition that is
 * slow or away holds up no other: the claim goes on without it, and what it leases all the same comes with the next.
 */
import type { Reply } from '../../redis/connection.ts';
import type { Claim, ClaimRequest } from '../queue.ts';
import { QueueStoreError } from '../sqlite/errors.ts';
import { Attention, type AttentionParts, inTime } from './attention.ts';
import type { Asking } from './conversation.ts';
import { isUnavailable, mayHaveRun, type OnAbsent } from './errors.ts';
import type { Partition } from './keys.ts';
import type { Life } from './life.ts';
import { type Owner, ownerTtlMs } from './owner.ts';
import { toClaim } from './wire.ts';
import type { Withdrawals } from './withdrawals.ts';

/** Contents that one claim brings along, so that a claim of many large messages does not fill the memory at once. */
const claimBytes = 16 * 2 ** 20;
/** Recipients that one script leases: some milliseconds in which the server does nothing else. */
const mostAtOnce = 200;
const tellEveryMs = 1000;

interface Turn extends ClaimRequest {
  readonly claims: Claim[];
  recipients: number;
  bytes: number;
  readonly given: Map<string, number>;
  readonly givenTenants: Map<string, number>;
  tenants: number | undefined;
  /** Its claims are with who asked; what comes now is for the next. */
  over: boolean;
}

interface Found {
  readonly tenants: readonly string[];
  readonly dueMs: number;
}

export interface ClaimingParts extends AttentionParts {
  readonly conversation: Asking;
  readonly partitions: readonly Partition[];
  readonly owner: Owner;
  readonly nowMs: () => number;
  readonly life: Pick<Life, 'era'>;
  /** What was told as refused is taken back before a claim could bring it. */
  readonly withdrawals: Pick<Withdrawals, 'run'>;
  /** Told once a second at most. */
  readonly onAbsent?: OnAbsent;
}

export class Claiming {
  readonly #parts: ClaimingParts;
  /** Calls whose answer was lost: what they leased is given back by the next. */
  readonly #abandoned = new Map<number, Set<string>>();
  readonly #attention: Attention;
  readonly #found = new Map<Partition, Found>();
  /** Leased when the claim that asked for them was over. */
  #late: Claim[] = [];
  #last: Promise<unknown> = Promise.resolve();
  #toldMs = Number.NEGATIVE_INFINITY;

  constructor(parts: ClaimingParts) {
    this.#parts = parts;
    this.#attention = new Attention(parts);
  }

  /** Over several partitions one after the other. @throws QueueStoreError: nothing was found, and some did not answer */
  async claim(request: ClaimRequest): Promise<Claim[]> {
    const [only, ...others] = this.#parts.partitions;
    if (only !== undefined && others.length === 0) return await this.#claimFrom(only, newTurn(request));
    const claiming = this.#last.then(() => this.#claim(newTurn(request)));
    this.#last = Promise.allSettled([claiming]);
    return await claiming;
  }

  /** @throws QueueStoreError */
  async nextDueTimeMs(): Promise<number | undefined> {
    const { conversation, partitions, owner, nowMs } = this.#parts;
    const asked = { owner: owner.name, ownerTtlMs };
    const answers = Promise.all(
      partitions.map(partition => conversation.ask({ partition, script: 'next-due', asked }, { repeatable: true })),
    );
    // While some partition is silent the others are claimed again in a moment.
    const { inTime: its = inTime } = this.#parts;
    if (partitions.length > 1 && !(await its([answers]))) throw unavailable('a part of the queue does not answer');
    const times = (await answers)
      .filter(({ reply }) => String(reply[1]) !== '')
      .map(({ reply: [now, time] }) => Number(time) - Number(now) + nowMs());
    return times.length === 0 ? undefined : Math.min(...times);
  }

  async #claim(turn: Turn): Promise<Claim[]> {
    try {
      await this.#fill(turn);
    } finally {
      turn.over = true;
    }
    const absent = this.#absence();
    if (absent !== undefined && turn.claims.length === 0) throw absent;
    if (absent !== undefined) this.#tell(absent);
    return turn.claims;
  }

  async #claimFrom(only: Partition, turn: Turn): Promise<Claim[]> {
    try {
      await this.#visitUntilDone(only, turn);
    } catch (error) {
      // What came before it is ours: left behind, it would wait for its leases to end. The next claim meets the same fault.
      if (turn.claims.length === 0) throw error;
    }
    return turn.claims;
  }

  async #fill(turn: Turn): Promise<void> {
    this.#takeLate(turn);
    const attention = this.#attention;
    const unknown = this.#parts.partitions.filter(partition => !this.#found.has(partition));
    await attention.each(unknown, partition => this.#peek(partition));
    // Who has nothing to do has time for those that are late.
    if (turn.claims.length === 0 && this.#found.size === 0) await attention.rest();
    const ready = this.#ready();
    const tenants = new Set(ready.flatMap(({ tenants: its }) => its));
    turn.tenants = Math.max(1, tenants.size);
    const visit = (partition: Partition) => this.#visitUntilDone(partition, turn);
    for (const { partition } of ready) if (!isFull(turn)) await attention.each([partition], visit);
    // Tenants that had less than their share leave room for the others.
    turn.tenants = undefined;
    for (const { partition } of ready) {
      if (tenants.size > 1 && !isFull(turn)) await attention.each([partition], visit);
    }
    if (turn.claims.length === 0 && ready.length > 0) await attention.rest();
  }

  async #peek(partition: Partition): Promise<void> {
    const { conversation } = this.#parts;
    const question = { partition, script: 'peek', asked: { ownerTtlMs } } as const;
    const { reply } = await conversation.ask(question, { repeatable: true });
    this.#found.set(partition, { tenants: reply.slice(2).map(String), dueMs: Number(reply[1]) });
  }

  /** Partitions with something to claim: whose oldest is overdue for longest comes first. */
  #ready(): (Found & { readonly partition: Partition })[] {
    const found = [...this.#found].map(([partition, its]) => ({ ...its, partition }));
    this.#found.clear();
    const ready = found.filter(({ partition, tenants }) => tenants.length > 0 || this.#abandonedOf(partition).size > 0);
    return ready.sort((one, other) => one.dueMs - other.dueMs);
  }

  /** Of what has waited so long that it may end before it is renewed, others take care. */
  #takeLate(turn: Turn): void {
    const endMs = this.#parts.nowMs() + turn.leaseMs / 4;
    for (const claim of this.#late.splice(0)) if (claim.leaseExpiryTimeMs > endMs) note(turn, claim);
  }

  #absence(): Error | undefined {
    const absent = this.#attention.absent();
    if (absent.length === 0) return undefined;
    const faults = absent.filter(fault => fault instanceof Error);
    // Rather what no time will mend.
    const fault = faults.find(each => !isUnavailable(each)) ?? faults[0];
    const { length: all } = this.#parts.partitions;
    if (fault !== undefined && (absent.length === all || !isUnavailable(fault))) return fault;
    const why = fault === undefined ? 'no answer yet' : fault.message;
    return unavailable(`${absent.length} of ${all} parts of the queue: ${why}`, fault);
  }

  #tell(absent: Error): void {
    const { monotonicMs = () => performance.now() } = this.#parts;
    if (monotonicMs() - this.#toldMs < tellEveryMs) return;
    this.#toldMs = monotonicMs();
    this.#parts.onAbsent?.('claim', absent);
  }

  async #visitUntilDone(partition: Partition, turn: Turn): Promise<void> {
    await this.#parts.withdrawals.run(partition);
    while (!isFull(turn) && !turn.over) {
      const before = turn.recipients;
      const wanted = await this.#visit(partition, turn);
      if (turn.recipients === before || turn.recipients - before < wanted) return;
    }
  }

  /** Returns how many it asked for. */
  async #visit(partition: Partition, turn: Turn): Promise<number> {
    const { conversation, owner, nowMs, life } = this.#parts;
    const leaseEra = life.era(partition);
    const call = owner.nextCall(partition.number);
    const abandoned = this.#abandonedOf(partition);
    const limit = Math.min(mostAtOnce, turn.limit - turn.recipients);
    const lost = [...abandoned];
    const asked = {
      owner: owner.name,
      ownerTtlMs,
      call,
      leaseMs: turn.leaseMs,
      limit,
      perDestination: turn.limitPerDestination,
      given: Object.fromEntries(turn.given),
      givenTenants: Object.fromEntries(turn.givenTenants),
      ...(turn.tenants === undefined ? {} : { perTenant: Math.ceil(turn.limit / turn.tenants) }),
      bytes: claimBytes - turn.bytes,
      abandoned: lost,
    };
    const leaseExpiryTimeMs = nowMs() + turn.leaseMs;
    const reply = await this.#ask(partition, asked);
    for (const done of lost) abandoned.delete(done);
    const where = { conversation, partition, leaseExpiryTimeMs, offsetMs: nowMs() - Number(reply[0]) };
    for (const one of reply.slice(1)) {
      const claim = { ...toClaim(one, where), leaseEra };
      if (turn.over) this.#late.push(claim);
      else note(turn, claim);
    }
    return limit;
  }

  async #ask(partition: Partition, asked: { call: string }): Promise<readonly Reply[]> {
    try {
      return (await this.#parts.conversation.ask({ partition, script: 'claim', asked })).reply;
    } catch (error) {
      if (mayHaveRun(error)) this.#abandonedOf(partition).add(asked.call);
      throw error;
    }
  }

  #abandonedOf({ number }: Partition): Set<string> {
    const known = this.#abandoned.get(number);
    if (known !== undefined) return known;
    const made = new Set<string>();
    this.#abandoned.set(number, made);
    return made;
  }
}

function unavailable(why: string, cause?: Error): QueueStoreError {
  return new QueueStoreError('POSTROAD_QUEUE_UNAVAILABLE', why, cause === undefined ? undefined : { cause });
}

function newTurn(request: ClaimRequest): Turn {
  const counts = { recipients: 0, bytes: 0, given: new Map(), givenTenants: new Map() };
  return { ...request, ...counts, claims: [], tenants: undefined, over: false };
}

function isFull({ recipients, limit, bytes }: Turn): boolean {
  return recipients >= limit || bytes >= claimBytes;
}

function note(turn: Turn, claim: Claim): void {
  const { destination, recipients, message, content } = claim;
  turn.claims.push(claim);
  turn.recipients += recipients.length;
  turn.bytes += claim.head.length + (content.bytes?.length ?? 0);
  turn.given.set(destination, (turn.given.get(destination) ?? 0) + recipients.length);
  turn.givenTenants.set(message.tenant, (turn.givenTenants.get(message.tenant) ?? 0) + recipients.length);
}
