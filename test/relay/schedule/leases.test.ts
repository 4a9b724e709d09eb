import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLog } from '../../../relay/log.ts';
import type { Claim, Queue } from '../../../relay/queue/queue.ts';
import { openVolumeQueue } from '../../../relay/queue/sqlite/store.ts';
import { HeldClaims } from '../../../relay/schedule/held.ts';
import { LeaseKeeper, leaseMs } from '../../../relay/schedule/leases.ts';
import { buildClaim } from '../../support/claim-builders.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { message } from '../queue/messages.ts';

interface Keeping extends AsyncDisposable {
  readonly clock: FakeClock;
  readonly queue: Queue;
  readonly held: HeldClaims;
  readonly keeper: LeaseKeeper;
  /** Everything that is due, claimed as another owner would. */
  claimed(): Promise<Claim[]>;
}

async function startKeeping(): Promise<Keeping> {
  const folder = await temporaryFolder();
  const clock = new FakeClock();
  const queue = await openVolumeQueue({ dataDir: folder.path, minFreeDiskBytes: () => 0, clock });
  const held = new HeldClaims({ maxClaims: 100, maxBytes: 1e6 }, () => undefined);
  const keeper = new LeaseKeeper({ queue, held, clock, log: createLog('silent') });
  return {
    clock,
    queue,
    held,
    keeper,
    claimed: () => queue.claim({ limit: 100, limitPerDestination: 100, leaseMs }),
    async [Symbol.asyncDispose]() {
      await queue.close();
      await folder[Symbol.asyncDispose]();
    },
  };
}

async function hold({ queue, held, clock }: Keeping): Promise<ReturnType<HeldClaims['add']>> {
  const [claim] = await queue.enqueue(message(clock), { leaseMs });
  assert.ok(claim !== undefined);
  return held.add(claim);
}

test('what is held for long stays ours, and nobody else gets it', async () => {
  await using set = await startKeeping();
  const mine = await hold(set);
  const ended = new AbortController();
  const keeping = set.keeper.keep(ended.signal);
  for (let n = 0; n < 60; n++) {
    await set.clock.advance(leaseMs / 6);
    await waitUntil('the keeper sleeps again', () => set.clock.sleepers === 1);
    assert.deepEqual(await set.claimed(), []);
  }
  ended.abort();
  await assert.rejects(keeping);
  await set.queue.settle({ claim: mine.claim, outcomes: [{ index: 0, result: 'Delivered' }], messages: [] });
});

test('without a keeper it goes to another owner; the keeper says so and the settlement is refused', async () => {
  await using set = await startKeeping();
  const mine = await hold(set);
  await set.clock.advance(leaseMs);
  assert.equal((await set.claimed()).length, 1);
  await set.keeper.catchUp();
  assert.equal(mine.lost, true);
  await assert.rejects(
    set.queue.settle({ claim: mine.claim, outcomes: [{ index: 0, result: 'Delivered' }], messages: [] }),
    { code: 'POSTROAD_LEASE_LOST' },
  );
});

test('a process that was stopped for longer than its leases renews them before it claims', async () => {
  await using set = await startKeeping();
  const mine = await hold(set);
  await set.clock.advance(10 * leaseMs);
  await set.keeper.catchUp();
  assert.equal(mine.lost, false);
  assert.deepEqual(await set.claimed(), []);
});

test('catching up costs nothing while time goes on as usual', async () => {
  await using set = await startKeeping();
  const mine = await hold(set);
  const before = mine.leaseExpiryTimeMs;
  await set.clock.advance(leaseMs / 6);
  await set.keeper.catchUp();
  assert.equal(mine.leaseExpiryTimeMs, before);
});

/** A queue of which others may take over, as in Redis. */
function sharedQueue(): Pick<Queue, 'renew' | 'leaseEra'> & {
  era: number | undefined;
  readonly taken: Set<string>;
  whileAsked: () => void;
} {
  return {
    era: 0,
    taken: new Set(),
    whileAsked: () => undefined,
    leaseEra() {
      return this.era;
    },
    renew(tokens) {
      this.era ??= 1;
      this.whileAsked();
      return Promise.resolve(tokens.filter(token => this.taken.has(token)));
    },
  };
}

test('after a standstill nothing held may be delivered before it is known whose it is', async () => {
  const queue = sharedQueue();
  const held = new HeldClaims({ maxClaims: 100, maxBytes: 1e6 }, () => undefined);
  const keeper = new LeaseKeeper({ queue, held, clock: new FakeClock(), log: createLog('silent') });
  const [ours, theirs] = [
    held.add(buildClaim({ token: 'ours', leaseEra: 0 })),
    held.add(buildClaim({ token: 'theirs', leaseEra: 0 })),
  ];
  assert.equal(keeper.isSure(ours), true);
  queue.era = undefined;
  queue.taken.add('theirs');
  assert.equal(keeper.isSure(ours), false);
  // That we are heard again says nothing about what we hold.
  queue.era = 1;
  assert.deepEqual([keeper.isSure(ours), keeper.isSure(theirs)], [false, false]);
  assert.equal(await keeper.confirm(ours), true);
  assert.deepEqual([keeper.isSure(ours), ours.lost, theirs.lost], [true, false, true]);
});

test('what comes while that is being asked, and was leased before, is asked about as well', async () => {
  const queue = sharedQueue();
  const held = new HeldClaims({ maxClaims: 100, maxBytes: 1e6 }, () => undefined);
  const keeper = new LeaseKeeper({ queue, held, clock: new FakeClock(), log: createLog('silent') });
  const first = held.add(buildClaim({ token: 'first', leaseEra: 0 }));
  queue.era = 1;
  const came: ReturnType<HeldClaims['add']>[] = [];
  queue.whileAsked = () => {
    if (came.length === 0)
      came.push(
        held.add(buildClaim({ token: 'late', leaseEra: 0 })),
        held.add(buildClaim({ token: 'new', leaseEra: 1 })),
      );
  };
  await keeper.confirm(first);
  assert.deepEqual(
    [first, ...came].map(each => keeper.isSure(each)),
    [true, false, true],
  );
  await keeper.confirm(first);
  assert.deepEqual(
    came.map(each => keeper.isSure(each)),
    [true, true],
  );
});

test('an era that ends while that is being asked makes it worth nothing', async () => {
  const queue = sharedQueue();
  const held = new HeldClaims({ maxClaims: 100, maxBytes: 1e6 }, () => undefined);
  const keeper = new LeaseKeeper({ queue, held, clock: new FakeClock(), log: createLog('silent') });
  const mine = held.add(buildClaim({ token: 'mine', leaseEra: 0 }));
  queue.era = 1;
  queue.whileAsked = () => {
    queue.era = 2;
  };
  await keeper.confirm(mine);
  assert.equal(keeper.isSure(mine), false);
});

/** Tokens begin with their part; those that are away do not answer. */
function queueOfParts(): Pick<Queue, 'renew' | 'leaseEra' | 'leasePart'> & {
  readonly away: Set<number>;
  eras: number[];
} {
  return {
    away: new Set(),
    eras: [0, 0],
    leasePart: token => Number(token[0]),
    leaseEra(part) {
      return this.away.has(part) ? undefined : this.eras[part];
    },
    renew(tokens) {
      const isAway = tokens.some(token => this.away.has(Number(token[0])));
      return isAway ? Promise.reject(new Error('away')) : Promise.resolve([]);
    },
  };
}

test('a part of the queue that does not answer makes nothing unsure that is of another', async () => {
  const queue = queueOfParts();
  const held = new HeldClaims({ maxClaims: 100, maxBytes: 1e6 }, () => undefined);
  const keeper = new LeaseKeeper({ queue, held, clock: new FakeClock(), log: createLog('silent') });
  const [here, there] = [
    held.add(buildClaim({ token: '0 here', leaseEra: 0 })),
    held.add(buildClaim({ token: '1 there', leaseEra: 0 })),
  ];
  queue.away.add(1);
  queue.eras = [1, 1];
  assert.deepEqual([keeper.isSure(here), keeper.isSure(there)], [false, false]);
  assert.deepEqual(await Promise.all([keeper.confirm(here), keeper.confirm(there)]), [true, false]);
  assert.deepEqual([keeper.isSure(here), keeper.isSure(there)], [true, false]);
  assert.deepEqual([keeper.isUnheard(here), keeper.isUnheard(there)], [false, true]);
  queue.away.clear();
  assert.equal(await keeper.confirm(there), true);
  assert.deepEqual([keeper.isSure(there), keeper.isUnheard(there)], [true, false]);
});

test('leases of the others are renewed while it is away, and what is held of it goes when their time is over and there is no room', async () => {
  const queue = queueOfParts();
  const clock = new FakeClock();
  const held = new HeldClaims({ maxClaims: 4, maxBytes: 1e6 }, () => undefined);
  const keeper = new LeaseKeeper({ queue, held, clock, log: createLog('silent') });
  const leaseExpiryTimeMs = clock.now() + leaseMs;
  const all = ['0 here', '1 there', '1 begun'].map(token =>
    held.add(buildClaim({ token, leaseEra: 0, leaseExpiryTimeMs })),
  );
  const [here, there, begun] = all;
  assert.ok(here !== undefined && there !== undefined && begun !== undefined);
  begun.begun = true;
  queue.away.add(1);
  await clock.advance(leaseMs - 1);
  await keeper.catchUp();
  assert.equal(here.leaseExpiryTimeMs, clock.now() + leaseMs);
  assert.deepEqual(
    all.map(({ lost }) => lost),
    [false, false, false],
  );
  await clock.advance(leaseMs);
  await keeper.catchUp();
  assert.deepEqual(
    all.map(({ lost }) => lost),
    [false, true, false],
  );
});
