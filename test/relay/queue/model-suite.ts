import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Claim, Outcome } from '../../../relay/queue/queue.ts';
import type { Harness } from './conformance.ts';
import { message, to } from './messages.ts';
import { keyOf, Model } from './model.ts';

const tenants = ['red', 'blue'];
const domains = ['a.example', 'b.example', 'c.example'];
const tenant = fc.constantFrom(...tenants);
const someTenant = fc.option(tenant, { nil: undefined });
const domain = fc.constantFrom(...domains);

const command = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('enqueue' as const),
      tenant,
      domains: fc.array(domain, { minLength: 1, maxLength: 4 }),
      leased: fc.boolean(),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('claim' as const),
      limit: fc.integer({ min: 1, max: 8 }),
      each: fc.integer({ min: 1, max: 8 }),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('settle' as const),
      which: fc.nat(),
      results: fc.array(fc.constantFrom('Delivered', 'Failed', 'Discarded', 'Deferred', 'Untried'), {
        minLength: 1,
        maxLength: 4,
      }),
      dsn: fc.boolean(),
      inMs: fc.integer({ min: 0, max: 5000 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom('hold' as const, 'release' as const, 'retryNow' as const),
      tenant: someTenant,
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.integer({ min: 1, max: 4000 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('suspend' as const), domain, forMs: fc.integer({ min: 0, max: 3000 }) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('renew' as const), which: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('crash' as const) }) },
);

type Command = typeof command extends fc.Arbitrary<infer T> ? T : never;
type CommandOf<Name extends Command['do']> = Extract<Command, { do: Name }>;

/** The store and the model side by side. */
class Pair {
  harness: Harness;
  readonly model = new Model();
  /** Claims whose lease has ended, to be refused ever after. */
  readonly lost: Claim[] = [];

  constructor(harness: Harness) {
    this.harness = harness;
  }

  get nowMs(): number {
    return this.harness.clock.now();
  }

  async run(next: Command): Promise<void> {
    switch (next.do) {
      case 'enqueue':
        return this.enqueue(next);
      case 'claim':
        return this.claim(next);
      case 'settle':
        return this.settle(next);
      case 'advance':
        this.harness.clock.advance(next.ms);
        return;
      case 'suspend':
        this.model.suspend(`direct/${next.domain}`, this.nowMs + next.forMs);
        return this.harness.queue.suspend(`direct/${next.domain}`, this.nowMs + next.forMs);
      case 'renew':
        return this.renew(next);
      case 'crash':
        this.leasesEnd(() => this.model.crash(this.nowMs));
        this.harness = await this.harness.reopen();
        return;
      default:
        return this.move(next);
    }
  }

  async enqueue({ tenant: name, domains: its, leased }: CommandOf<'enqueue'>): Promise<void> {
    const { queue, clock } = this.harness;
    const sent = message(clock, { tenant: name, recipients: its.map((at, n) => to(`u${n}@${at}`)) });
    const claims = await queue.enqueue(sent, leased ? { leaseMs: 2500 } : undefined);
    this.model.enqueue(sent, this.nowMs);
    for (const claim of claims) assert.equal(this.model.lease(claim, this.nowMs), undefined);
    assert.equal(claims.length, leased ? new Set(its).size : 0);
  }

  async claim({ limit, each }: CommandOf<'claim'>): Promise<void> {
    this.leasesEnd(() => this.model.expire(this.nowMs));
    const claims = await this.harness.queue.claim({ limit, limitPerDestination: each, leaseMs: 2500 });
    const given = new Map<string, number>();
    const claimable = new Set(this.model.claimable(this.nowMs).map(({ key }) => key));
    for (const claim of claims) {
      assert.equal(this.model.lease(claim, this.nowMs), undefined);
      given.set(claim.destination, (given.get(claim.destination) ?? 0) + claim.recipients.length);
      for (const { index } of claim.recipients) assert.ok(claimable.has(keyOf(claim.message.id, index)), 'suspended');
    }
    const total = [...given.values()].reduce((sum, n) => sum + n, 0);
    assert.ok(total <= limit && [...given.values()].every(n => n <= each));
    if (total === limit) return;
    // Whoever could have been claimed and was not stood behind the limit of its destination.
    for (const { key, destination } of this.model.claimable(this.nowMs))
      assert.equal(given.get(destination), each, key);
  }

  async settle({ which, results, dsn, inMs }: CommandOf<'settle'>): Promise<void> {
    const { queue, clock } = this.harness;
    const lease = this.model.leases[which % Math.max(1, this.model.leases.length)];
    if (lease === undefined) return;
    const outcomes = [...lease.left].slice(0, results.length).map((index, n): Outcome => {
      const result = results[n] ?? 'Delivered';
      if (result === 'Delivered') return { index, result };
      if (result === 'Failed' || result === 'Discarded') return { index, result, reason: 'Test' };
      const nextAttemptTimeMs = this.nowMs + inMs;
      return {
        index,
        result: 'Deferred',
        reason: 'Test',
        nextAttemptTimeMs,
        attempted: result === 'Deferred',
        delayWarned: false,
      };
    });
    const messages = dsn ? [message(clock, { recipients: [to('a@a.example')] })] : [];
    await queue.settle({ claim: lease.claim, outcomes, messages });
    this.model.settle(lease, outcomes);
    for (const sent of messages) this.model.enqueue(sent, this.nowMs);
    const again = queue.settle({ claim: lease.claim, outcomes, messages: [message(clock)] });
    await assert.rejects(again, { code: 'POSTROAD_LEASE_LOST' });
  }

  async renew({ which }: CommandOf<'renew'>): Promise<void> {
    const lease = this.model.leases[which % Math.max(1, this.model.leases.length)];
    const lost = this.lost.map(({ token }) => token);
    const asked = lease === undefined ? lost : [...lost, lease.claim.token];
    assert.deepEqual(await this.harness.queue.renew(asked, 3000), lost);
    if (lease !== undefined) lease.expiryMs = this.nowMs + 3000;
  }

  async move({ do: what, tenant: name }: CommandOf<'hold' | 'release' | 'retryNow'>): Promise<void> {
    const [from, next] = { hold: ['Waiting', 'Held'], release: ['Held', 'Waiting'], retryNow: ['Waiting', 'Waiting'] }[
      what
    ] as ['Waiting', 'Held'];
    const moved = await this.harness.queue[what](name === undefined ? {} : { tenant: name });
    assert.equal(moved, this.model.move(from, next, name, this.nowMs));
  }

  leasesEnd(how: () => void): void {
    const before = [...this.model.leases];
    how();
    this.lost.push(...before.filter(lease => !this.model.leases.includes(lease)).map(({ claim }) => claim));
  }

  async compare(): Promise<void> {
    const { queue } = this.harness;
    const { totals, depth } = await queue.stats();
    assert.deepEqual(totals, this.model.totals);
    assert.deepEqual(depth, this.model.depth());
    assert.equal(
      totals.accepted,
      totals.delivered + totals.failed + totals.discarded + depth.Waiting + depth.Leased + depth.Held,
    );
    const next = await queue.nextDueTimeMs();
    const expected = this.model.nextDueTimeMs(this.nowMs);
    assert.equal(next === undefined ? undefined : Math.max(next, this.nowMs), expected);
    const listed = (await queue.list({}, { limit: 1000 })).items.map(
      item => `${keyOf(item.id, item.index)} ${item.state}`,
    );
    assert.deepEqual(listed, [...this.model.recipients.values()].map(({ key, state }) => `${key} ${state}`).sort());
  }
}

/** `runs`: sequences of commands; MODEL_RUNS overrides it. */
export function agreesWithModel(store: string, open: () => Promise<Harness>, runs = 15): void {
  describe(`${store} against a model of it`, () => {
    it('agrees after any sequence of commands, crashes and passing time', async () => {
      const property = fc.asyncProperty(
        fc.array(command, { minLength: 10, maxLength: 60, size: 'max' }),
        async commands => {
          const pair = new Pair(await open());
          try {
            for (const next of commands) {
              await pair.run(next);
              await pair.compare();
            }
          } finally {
            await pair.harness.end();
          }
        },
      );
      await fc.assert(property, { numRuns: Number(process.env['MODEL_RUNS'] ?? runs) });
    });
  });
}
