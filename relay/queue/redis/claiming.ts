/**
 * Claims over the partitions of a queue. With one, a script does all of it. With several, one question to each tells which tenants have something,
 * and then each is visited in turn with what the limits leave: bounded by the number of partitions, and fair over all of them.
 */
import type { Reply } from '../../redis/connection.ts';
import { RedisFault } from '../../redis/errors.ts';
import type { Claim, ClaimRequest } from '../queue.ts';
import type { Asking } from './conversation.ts';
import type { Partition } from './keys.ts';
import { type Owner, ownerTtlMs } from './owner.ts';
import { toClaim } from './wire.ts';

/** Contents that one claim brings along, so that a claim of many large messages does not fill the memory at once. */
const claimBytes = 16 * 2 ** 20;
/** Recipients that one script leases: some milliseconds in which the server does nothing else. */
const mostAtOnce = 200;

interface Turn extends ClaimRequest {
  readonly claims: Claim[];
  recipients: number;
  bytes: number;
  readonly given: Map<string, number>;
  readonly givenTenants: Map<string, number>;
  readonly tenants: number | undefined;
}

export interface ClaimingParts {
  readonly conversation: Asking;
  readonly partitions: readonly Partition[];
  readonly owner: Owner;
  readonly nowMs: () => number;
}

export class Claiming {
  readonly #parts: ClaimingParts;
  /** Calls whose answer was lost: what they leased is given back by the next. */
  readonly #abandoned = new Map<number, Set<string>>();

  constructor(parts: ClaimingParts) {
    this.#parts = parts;
  }

  async claim(request: ClaimRequest): Promise<Claim[]> {
    const claims: Claim[] = [];
    try {
      await this.#fill(request, claims);
    } catch (error) {
      // What came before it is ours: left behind, it would wait for its leases to end. The next claim meets the same fault.
      if (claims.length === 0) throw error;
    }
    return claims;
  }

  async #fill(request: ClaimRequest, claims: Claim[]): Promise<void> {
    const { partitions } = this.#parts;
    const [only] = partitions;
    if (partitions.length === 1 && only !== undefined) {
      await this.#visitUntilDone(only, newTurn(request, claims));
      return;
    }
    const ready = await this.#ready();
    const tenants = new Set(ready.flatMap(({ tenants: its }) => its));
    const turn = newTurn(request, claims, Math.max(1, tenants.size));
    for (const { partition } of ready) await this.#visitUntilDone(partition, turn);
    // Tenants that had less than their share leave room for the others.
    const second: Turn = { ...turn, tenants: undefined };
    for (const { partition } of ready) {
      if (tenants.size > 1 && !isFull(second)) await this.#visitUntilDone(partition, second);
    }
  }

  /** Partitions with something to claim: whose oldest is overdue for longest comes first. */
  async #ready(): Promise<{ partition: Partition; tenants: string[]; dueMs: number }[]> {
    const { conversation, partitions } = this.#parts;
    const found = await Promise.all(
      partitions.map(async partition => {
        const { reply } = await conversation.ask(
          { partition, script: 'peek', asked: { ownerTtlMs } },
          { repeatable: true },
        );
        return { partition, tenants: reply.slice(2).map(String), dueMs: Number(reply[1]) };
      }),
    );
    const ready = found.filter(({ partition, tenants }) => tenants.length > 0 || this.#abandonedOf(partition).size > 0);
    return ready.sort((one, other) => one.dueMs - other.dueMs);
  }

  async #visitUntilDone(partition: Partition, turn: Turn): Promise<void> {
    while (!isFull(turn)) {
      const before = turn.recipients;
      const wanted = await this.#visit(partition, turn);
      if (turn.recipients === before || turn.recipients - before < wanted) return;
    }
  }

  /** Returns how many it asked for. */
  async #visit(partition: Partition, turn: Turn): Promise<number> {
    const { conversation, owner, nowMs } = this.#parts;
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
    for (const one of reply.slice(1)) note(turn, toClaim(one, where));
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

/** While Redis is away nothing is sent, and nothing is to be given back. */
function mayHaveRun(error: unknown): boolean {
  return error instanceof Error && error.cause instanceof RedisFault && error.cause.kind !== 'NotDone';
}

function newTurn(request: ClaimRequest, claims: Claim[], tenants?: number): Turn {
  return { ...request, claims, recipients: 0, bytes: 0, given: new Map(), givenTenants: new Map(), tenants };
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
