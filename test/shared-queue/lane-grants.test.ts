/** What the script of lanes grants, and that no order of events makes it grant more than there is. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { LaneGrant, LaneSlots, LaneWord } from '../../relay/queue/lane-slots.ts';
import type { Asking, Question } from '../../relay/queue/redis/conversation.ts';
import { partitionOf } from '../../relay/queue/redis/keys.ts';
import { RedisLanes } from '../../relay/queue/redis/lanes.ts';
import { Owner, ownerTtlMs } from '../../relay/queue/redis/owner.ts';
import { readScripts } from '../../relay/queue/redis/scripts.ts';
import { openRedis, type RedisHarness, single } from '../relay/queue/redis-harness.ts';
import { LaneSchedule } from '../relay/queue/simulation/lane-schedule.ts';
import { LossyConversation, type Network, ScriptServer } from '../relay/queue/simulation/server.ts';
import { programsMissing } from '../support/programs.ts';
import { type RedisPeer, startRedis } from '../support/redis.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const firstSeed = Date.now() % 1_000_000_000;
const schedules = 200;
const steps = 120;
const testClockScripts = readScripts('local now = tonumber(ARGV[#ARGV])');

describe('Lanes of three relays', { skip: programsMissing('redis-server', 'redis-cli') }, () => {
  const stack = new AsyncDisposableStack();
  let redis: RedisPeer;
  /** For schedules, which ask much and lose nothing when it ends. */
  let quick: RedisPeer;
  let harness: RedisHarness;
  let relays: readonly [Relay, Relay, Relay];
  before(async () => {
    const folder = stack.use(await temporaryFolder());
    redis = stack.use(await startRedis(folder.path));
    quick = stack.use(await startRedis(folder.path, { settings: { appendonly: 'no' } }));
    harness = await openRedis(single(redis.port));
    stack.defer(() => harness.end());
    const [second, third] = [await harness.another(), await harness.another()];
    stack.defer(() => second.queue.close());
    stack.defer(() => third.queue.close());
    relays = [new Relay(harness.opened.lanes), new Relay(second.lanes), new Relay(third.lanes)];
  });
  after(() => stack.disposeAsync());

  let lanes = 0;
  /** Each test has a lane of its own. */
  const lane = (word: Partial<LaneWord> = {}): LaneWord => ({
    key: `lane ${lanes}`,
    most: 10,
    holds: 0,
    open: 0,
    wants: 0,
    works: true,
    proven: true,
    ...word,
  });
  const nextLane = () => {
    lanes += 1;
  };

  it('have all of it one alone, and the same each when all want more than there is; what does not divide stays with who has it', async () => {
    nextLane();
    const [a, b, c] = relays;
    assert.equal(await a.may(lane({ wants: 30 })), 10);
    assert.deepEqual(await b.ask(lane({ wants: 30 })), {
      may: 0,
      part: 5,
      othersWork: true,
      rest: { forMs: 0, failures: 0 },
    });
    assert.equal(await a.may(lane({ wants: 30, holds: 10, open: 10 })), 5);
    // Its connections above that are still open.
    assert.equal(await b.may(lane({ wants: 30 })), 0);
    assert.equal(await a.may(lane({ wants: 30, holds: 5, open: 5 })), 5);
    assert.equal(await b.may(lane({ wants: 30 })), 5);
    assert.equal(await c.may(lane({ wants: 30 })), 0);
    assert.equal(await a.may(lane({ wants: 30, holds: 5, open: 5 })), 3);
    assert.equal(await a.may(lane({ wants: 30, holds: 3, open: 3 })), 3);
    assert.equal(await c.may(lane({ wants: 30 })), 2);
    assert.equal(await b.may(lane({ wants: 30, holds: 5, open: 5 })), 4);
    assert.equal(await b.may(lane({ wants: 30, holds: 4, open: 4 })), 4);
    assert.equal(await c.may(lane({ wants: 30, holds: 2, open: 2 })), 3);
  });

  it('give up unused connections when another wants them, and keep them until then', async () => {
    nextLane();
    const [a, b] = relays;
    assert.equal(await a.may(lane({ most: 1, wants: 1 })), 1);
    const unused = lane({ most: 1, holds: 1, open: 1 });
    assert.equal(await a.may(unused), 1);
    assert.equal(await b.may(lane({ most: 1, wants: 3 })), 0);
    assert.equal(await a.may(unused), 0);
    assert.equal(await a.may(lane({ most: 1 })), 0);
    assert.equal(await b.may(lane({ most: 1, wants: 3 })), 1);
  });

  it('try a next hop that is new by one relay until that has done well', async () => {
    nextLane();
    const [a, b] = relays;
    const trying = { wants: 5, works: false, proven: false };
    assert.equal(await a.may(lane(trying)), 5);
    assert.equal(await b.may(lane(trying)), 0);
    const { othersWork } = await b.ask(lane(trying));
    assert.equal(othersWork, false);
    await a.ask(lane({ holds: 5, open: 5, wants: 5 }));
    assert.deepEqual(await b.ask(lane(trying)), { may: 5, part: 5, othersWork: true, rest: { forMs: 0, failures: 0 } });
  });

  it('rest together, for one failure, and try again by one connection of one relay', async () => {
    nextLane();
    const [a, b, c] = relays;
    const failed = lane({ works: false, proven: false, wants: 5, rest: { forMs: 4000, failures: 3 } });
    await a.ask(lane({ holds: 2, open: 2, wants: 2 }));
    assert.deepEqual((await a.ask(failed)).rest, { forMs: 4000, failures: 3 });
    harness.clock.advance(1000);
    const late = await b.ask({ ...failed, rest: { forMs: 60_000, failures: 1 } });
    assert.deepEqual(late, { may: 0, part: 0, othersWork: false, rest: { forMs: 3000, failures: 3 } });
    // It had not heard of it yet.
    await c.ask(lane({ wants: 5 }));
    harness.clock.advance(3000);
    const waiting = lane({ works: false, proven: false, wants: 5 });
    assert.deepEqual(await c.ask(waiting), { may: 1, part: 0, othersWork: false, rest: { forMs: 0, failures: 3 } });
    assert.equal(await a.may(waiting), 0);
    assert.equal(await b.may(waiting), 0);
    await c.ask(lane({ holds: 1, open: 1, wants: 1 }));
    assert.equal(await a.may(waiting), 5);
  });

  it('end a rest when what they rested for has changed', async () => {
    nextLane();
    const [a, b] = relays;
    await a.ask(lane({ proven: false, rest: { forMs: 900_000, failures: 9 } }));
    assert.equal(await b.may(lane({ proven: false, wants: 5, mended: true })), 5);
  });

  it('have what a relay had that was silent for ten seconds; not what it had when Redis was away for all', async () => {
    nextLane();
    const [a, b, c] = relays;
    const all = lane({ wants: 10, holds: 10, open: 10 });
    await a.ask(all);
    for (let n = 0; n < 3; n += 1) {
      assert.equal(await b.may(lane({ wants: 3 })), 0);
      harness.clock.advance(ownerTtlMs / 4);
    }
    harness.clock.advance(ownerTtlMs / 4);
    assert.equal(await b.may(lane({ wants: 3 })), 3);
    harness.clock.advance(ownerTtlMs * 10);
    assert.equal(await c.may(lane({ wants: 10 })), 7);
    assert.equal(await b.may(lane({ wants: 3, holds: 3, open: 3 })), 3);
  });

  it('have what a relay had that died, and end their rests, also when the clock was set back', async () => {
    nextLane();
    const [a, b] = relays;
    await a.ask(lane({ wants: 10, holds: 10, open: 10 }));
    assert.equal(await b.may(lane({ wants: 3 })), 0);
    harness.clock.advance(-86_400_000);
    for (let n = 0; n < 4; n += 1) {
      await b.may(lane({ wants: 3 }));
      harness.clock.advance(ownerTtlMs / 4);
    }
    assert.equal(await b.may(lane({ wants: 3 })), 3);
    await b.ask(lane({ wants: 3, holds: 3, rest: { forMs: 60_000, failures: 1 } }));
    harness.clock.advance(-86_400_000);
    assert.equal(await b.may(lane({ wants: 3 })), 0);
    harness.clock.advance(1_800_000);
    assert.equal(await b.may(lane({ wants: 3 })), 3);
  });

  it('are not taken at a word that is older than the last and comes late', async () => {
    const server = await ScriptServer.open(quick.port, testClockScripts);
    try {
      const nowMs = () => 1_800_000_000_000;
      const late: Question[] = [];
      const conversation: Asking = {
        async ask(question) {
          late.push(question);
          return { reply: await server.run(question, nowMs()), doubtful: false };
        },
        command: () => Promise.reject(new Error('nothing asks for that')),
        close: () => undefined,
      };
      const open = () =>
        new Relay(new RedisLanes({ conversation, partitions: [partitionOf('late:', 0, 1)], owner: new Owner() }));
      const [a, b] = [open(), open()];
      await a.ask(lane());
      assert.equal(await a.may(lane({ wants: 10 })), 10);
      const [first] = late;
      assert.ok(first);
      await server.run(first, nowMs());
      assert.equal(await b.may(lane({ wants: 10 })), 0);
    } finally {
      server.close();
    }
  });

  it('grow no more for three seconds when a relay meets a server that may have forgotten who has what', async () => {
    const server = await ScriptServer.open(quick.port, testClockScripts);
    try {
      const world = { nowMs: 1_800_000_000_000, era: 0 };
      const network: Network = { nowMs: () => world.nowMs, fate: () => 'arrives', later: () => Promise.resolve() };
      const conversation = Object.assign(new LossyConversation(server, network), {
        connectionOf: () => `connection ${world.era}`,
      });
      const parts = { conversation, partitions: [partitionOf('forgetful:', 0, 1)] };
      const [a, b] = [parts, parts].map(its => new Relay(new RedisLanes({ ...its, owner: new Owner() })));
      assert.ok(a && b);
      await b.ask(lane({ wants: 1, holds: 1, open: 1 }));
      assert.equal(await a.may(lane({ wants: 9 })), 9);
      await server.send(['FLUSHDB']);
      world.era += 1;
      assert.equal(await b.may(lane({ wants: 10, holds: 1, open: 1 })), 1);
      world.nowMs += 1000;
      // What is its part; all that it has open is known again.
      assert.equal(await a.may(lane({ wants: 9, holds: 9, open: 9 })), 5);
      world.nowMs += 2000;
      assert.equal(await b.may(lane({ wants: 10, holds: 1, open: 1 })), 1);
      assert.equal(await a.may(lane({ wants: 9, holds: 9, open: 9 })), 5);
    } finally {
      server.close();
    }
  });

  it('leave nothing behind, but what is to be remembered of a failure for half an hour', async () => {
    const [a] = relays;
    const keys = async () =>
      (await redis.ask('KEYS', `${harness.keyPrefix}*lane:*`)).split('\n').filter(key => key !== '');
    for (const key of await keys()) await redis.ask('DEL', key);
    nextLane();
    await a.ask(lane({ wants: 3, holds: 3, open: 3 }));
    const [key = ''] = await keys();
    assert.ok(Number(await redis.ask('PTTL', key)) > 0);
    await a.ask(lane());
    assert.deepEqual(await keys(), []);
    await a.ask(lane({ proven: false, rest: { forMs: 1000, failures: 1 } }));
    const [failed = ''] = await keys();
    const left = Number(await redis.ask('PTTL', failed));
    assert.ok(left > 1_790_000 && left <= 1_801_000, `${left} ms`);
  });

  it(`never have more than there are, whatever crashes, pauses or gets lost (${schedules} schedules)`, async t => {
    const { failures, most } = await simulate(quick.port);
    t.diagnostic(`first seed ${firstSeed}, ${most} connections at most`);
    assert.deepEqual(failures, []);
  });

  it('would have more when a relay went on without hearing of Redis (control)', async t => {
    const { failures } = await simulate(quick.port, Number.MAX_SAFE_INTEGER);
    t.diagnostic(`first seed ${firstSeed}, ${failures.length} of ${schedules} failed`);
    assert.notEqual(failures.length, 0);
  });
});

class Relay {
  readonly #slots: LaneSlots;

  constructor(slots: LaneSlots) {
    this.#slots = slots;
  }

  async ask(word: LaneWord): Promise<LaneGrant> {
    const [grant] = await this.#slots.ask(this.#slots.placeOf(word.key), [word]);
    assert.ok(grant);
    return grant;
  }

  async may(word: LaneWord): Promise<number> {
    return (await this.ask(word)).may;
  }
}

async function simulate(port: number, grantMs?: number): Promise<{ failures: string[]; most: number }> {
  const server = await ScriptServer.open(port, testClockScripts);
  try {
    const failures: string[] = [];
    let most = 0;
    const run = async (seed: number): Promise<void> => {
      const schedule = new LaneSchedule(server, seed, grantMs);
      try {
        await schedule.run(steps);
      } catch (error) {
        failures.push(error instanceof Error ? error.message : String(error));
      }
      most = Math.max(most, schedule.most);
    };
    await Promise.all(Array.from({ length: schedules }, (_, n) => run(firstSeed + n)));
    return { failures, most };
  } finally {
    server.close();
  }
}
