import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { DkimAlgorithm } from '../../../operator/domainpolicy/dkim-key.ts';
import { stateAt } from '../../../operator/domainpolicy/key-ring.ts';
import { dayMs, type Record, RingWorld, settings } from './ring-world.ts';

const seed = Number(process.env['FC_SEED'] ?? Date.now() % 2 ** 31);
console.log(`# seed ${seed}`);

const domains = ['a.example', 'b.example', 'c.example'];
const algorithms: readonly DkimAlgorithm[] = ['RSA2048', 'Ed25519'];

type Step = (world: RingWorld) => void;

const changed = (next: Partial<RingWorld['settings']>): Step => {
  return world => {
    world.settings = { ...world.settings, ...next };
  };
};

/** A server answers for one record; at times for one domain, at times for all. */
const answer: fc.Arbitrary<Step> = fc
  .record({
    index: fc.nat(5),
    record: fc.constantFrom<Record>('Yes', 'No', 'Unknown'),
    domain: fc.constantFrom(undefined, ...domains),
  })
  .map(({ index, record, domain }) => world => {
    const key = world.ring[index % Math.max(1, world.ring.length)];
    if (key !== undefined) world.say(key.selector, record, domain);
  });

const steps: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: answer },
  { weight: 2, arbitrary: fc.constant<Step>(world => world.publishAll()) },
  { weight: 3, arbitrary: fc.constant<Step>(world => world.roll()) },
  {
    weight: 2,
    arbitrary: fc.integer({ min: 1, max: 40 }).map(
      (days): Step =>
        world => {
          world.nowMs += days * dayMs;
        },
    ),
  },
  fc.subarray<DkimAlgorithm>([...algorithms]).map(wanted => changed({ algorithms: wanted })),
  fc.subarray(domains, { minLength: 1 }).map(those => changed({ domains: those })),
  fc.constantFrom(undefined, 'one', 'another').map(request => changed({ request })),
);

const schedules = fc.array(steps, { minLength: 1, maxLength: 60 });
const freshWorld = (): RingWorld => new RingWorld({ domains: domains.slice(0, 2) });

function always(check: (world: RingWorld, step: Step) => void, numRuns = 2000): void {
  fc.assert(
    fc.property(schedules, schedule => {
      const world = freshWorld();
      for (const step of schedule) check(world, step);
    }),
    { seed, numRuns },
  );
}

describe('whatever happens', () => {
  it('no key signs for a domain where it was not at its last definite look, and none begins to before every pod has it', () => {
    always((world, step) => {
      step(world);
      const before = new Set(world.signed);
      world.pass();
      for (const place of world.signed) {
        const [selector = '', domain = ''] = place.split('@');
        assert.equal(world.lastDefinite(selector, domain), 'Yes', place);
        if (before.has(place)) continue;
        assert.equal(world.record(selector, domain), 'Yes', place);
        assert.ok(world.loaded.has(selector), place);
        assert.equal(world.ring.find(key => key.selector === selector)?.isRevoked, false, place);
      }
    });
  });

  it('mail of a domain goes on being signed, unless the record of the key that signs it is seen to be away there', () => {
    always((world, step) => {
      const before = world.ring;
      step(world);
      world.pass();
      for (const algorithm of world.settings.algorithms)
        for (const domain of world.settings.domains) {
          const signer = before.find(key => key.algorithm === algorithm && stateAt(key, domain) === 'Signs');
          if (signer === undefined || world.lastDefinite(signer.selector, domain) !== 'Yes') continue;
          const now = world.ring.find(key => key.algorithm === algorithm && stateAt(key, domain) === 'Signs');
          assert.ok(now !== undefined, `${signer.selector}@${domain}: ${world.states}`);
        }
    });
  });

  it('one key signs for each algorithm and domain at most, one rotation at a time, and there are few keys', () => {
    always((world, step) => {
      step(world);
      world.pass();
      for (const algorithm of algorithms) {
        const keys = world.ring.filter(key => key.algorithm === algorithm);
        for (const domain of domains)
          assert.ok(keys.filter(key => stateAt(key, domain) === 'Signs').length <= 1, world.states);
        const coming = keys.filter(({ state, isRevoked }) => state !== 'Retiring' && !isRevoked);
        assert.ok(coming.length <= 3, world.states);
        assert.ok(keys.length <= 8, world.states);
      }
    });
  });

  it('every algorithm signs for every domain again once DNS is good, and no other key is left in the end', () => {
    fc.assert(
      fc.property(schedules, schedule => {
        const world = freshWorld();
        for (const step of schedule) {
          step(world);
          world.pass();
        }
        world.settings = { ...settings, domains, rotationPeriodMs: 0 };
        for (let turn = 0; turn < 12; turn++) {
          world.settle();
          world.nowMs += 8 * dayMs;
        }
        world.settle();
        const keys = world.ring.map(({ algorithm, state }) => `${algorithm} ${state}`).sort();
        assert.deepEqual(keys, ['Ed25519 Active', 'RSA2048 Active'], world.states);
        assert.equal(world.signed.length, 2 * domains.length);
      }),
      { seed, numRuns: 1000 },
    );
  });

  it('no record is let go while a message that its key signed can be under way, unless the key was revoked', () => {
    const lastSigned = new WeakMap<RingWorld, Map<string, number>>();
    always((world, step) => {
      step(world);
      const times = lastSigned.get(world) ?? new Map<string, number>();
      lastSigned.set(world, times);
      for (const selector of world.signing) times.set(selector, world.nowMs);
      const ended = [...times].filter(([, timeMs]) => world.nowMs >= timeMs + settings.messageLifetimeMs);
      for (const [selector] of ended) times.delete(selector);
      world.pass();
      const kept = new Set(world.ring.map(({ selector }) => selector));
      const lost = [...times.keys()].filter(
        selector => !kept.has(selector) && !world.events.includes(`${selector} KeyRevoked`),
      );
      assert.deepEqual(lost, [], world.states);
    });
  });

  it('a pass over what the last one left changes nothing', () => {
    always((world, step) => {
      step(world);
      world.pass();
      world.pass();
      const { ring } = world;
      world.events = [];
      world.pass();
      assert.deepEqual(world.ring, ring);
      assert.deepEqual(world.events, []);
    }, 500);
  });
});
