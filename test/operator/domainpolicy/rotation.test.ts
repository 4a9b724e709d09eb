import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { DkimAlgorithm } from '../../../operator/domainpolicy/dkim-key.ts';
import type { KeyRing } from '../../../operator/domainpolicy/key-ring.ts';
import {
  arrivalMarginMs,
  freshKey,
  type KeySight,
  type Rotation,
  type RotationInput,
  rotate,
} from '../../../operator/domainpolicy/rotation.ts';

const dayMs = 86_400_000;
const seed = Number(process.env['FC_SEED'] ?? Date.now() % 2 ** 31);
console.log(`# seed ${seed}`);

type Settings = Omit<RotationInput, 'ring' | 'sight' | 'nowMs'>;

const settings: Settings = {
  algorithms: ['RSA2048', 'Ed25519'],
  rotationPeriodMs: 90 * dayMs,
  overlapMs: 7 * dayMs,
  checks: 'Enabled',
  messageLifetimeMs: 5 * dayMs,
};

/** A policy's keys beside a DNS and pods that a test moves. Keys are stored, and known by their order of making. */
class World {
  nowMs = Date.UTC(2026, 0, 1);
  ring: KeyRing = [];
  settings: Settings;
  /** By selector: what DNS says now. */
  readonly records = new Map<string, KeySight['record']>();
  /** What the last look that was definite said. */
  readonly definite = new Map<string, 'Yes' | 'No'>();
  loaded = new Set<string>();
  signing = new Set<string>();
  events: string[] = [];
  #made = 0;

  constructor(changes: Partial<Settings> = {}) {
    this.settings = { ...settings, ...changes };
  }

  readonly sight = (selector: string): KeySight => {
    const record = this.records.get(selector) ?? 'Unknown';
    if (record !== 'Unknown') this.definite.set(selector, record);
    return { record, loaded: this.loaded.has(selector), signing: this.signing.has(selector) };
  };

  pass(): Rotation {
    const rotation = rotate({ ...this.settings, ring: this.ring, sight: this.sight, nowMs: this.nowMs });
    const minted = rotation.mint.map(algorithm => this.#mint(algorithm));
    this.ring = [...rotation.ring, ...minted];
    this.events.push(...rotation.events.map(({ reason, selector }) => `${selector} ${reason}`));
    return rotation;
  }

  #mint(algorithm: DkimAlgorithm) {
    const selector = `${algorithm === 'RSA2048' ? 'r' : 'e'}${++this.#made}`;
    return freshKey({ selector, algorithm, privateKeyPem: '', recordValue: '' }, this.nowMs);
  }

  /** The pods follow: they run what the ring asks for. */
  roll(): void {
    const of = (...states: readonly string[]): Set<string> =>
      new Set(this.ring.filter(({ state }) => states.includes(state)).map(({ selector }) => selector));
    this.loaded = of('Published', 'Active', 'Retiring');
    this.signing = of('Active');
  }

  publishAll(): void {
    for (const { selector } of this.ring) this.records.set(selector, 'Yes');
  }

  get states(): string {
    return this.ring.map(({ selector, state }) => `${selector} ${state}`).join(', ');
  }
}

function settled(world: World): void {
  for (let turn = 0; turn < 6; turn++) {
    world.publishAll();
    world.pass();
    world.roll();
  }
}

describe('a DKIM key', () => {
  it('signs once its record is seen and every pod has loaded it, and not before', () => {
    const world = new World({ algorithms: ['Ed25519'] });
    world.pass();
    assert.equal(world.states, 'e1 Pending');
    world.records.set('e1', 'Yes');
    world.pass();
    assert.equal(world.states, 'e1 Published');
    world.pass();
    assert.equal(world.states, 'e1 Published', 'no pod has it');
    world.roll();
    world.records.set('e1', 'Unknown');
    world.pass();
    assert.equal(world.states, 'e1 Published', 'no look has an answer');
    world.records.set('e1', 'Yes');
    world.pass();
    assert.equal(world.states, 'e1 Active');
  });

  it('makes way when its time is over, and its record is asked for until its last message can have arrived', () => {
    const world = new World({ algorithms: ['RSA2048'] });
    settled(world);
    assert.equal(world.states, 'r1 Active');
    world.nowMs += 83 * dayMs;
    settled(world);
    assert.equal(world.states, 'r1 Active, r2 Published', 'early enough for its record to be published');
    world.nowMs += 7 * dayMs - 1;
    settled(world);
    assert.equal(world.states, 'r1 Active, r2 Published');
    world.nowMs += 1;
    world.pass();
    assert.equal(world.states, 'r1 Retiring, r2 Active');
    world.nowMs += 30 * dayMs;
    world.pass();
    assert.equal(world.states, 'r1 Retiring, r2 Active', 'a pod still signs with it');
    world.roll();
    world.pass();
    world.nowMs += Math.max(5 * dayMs + arrivalMarginMs, 7 * dayMs) - 1;
    world.pass();
    assert.equal(world.states, 'r1 Retiring, r2 Active');
    world.nowMs += 1;
    world.pass();
    assert.equal(world.states, 'r2 Active');
  });

  it('is kept for as long again when a pod that was away comes back signing with it', () => {
    const world = new World({ algorithms: ['Ed25519'] });
    settled(world);
    world.nowMs += 90 * dayMs;
    settled(world);
    settled(world);
    world.nowMs += 6 * dayMs;
    world.signing.add('e1');
    world.pass();
    world.roll();
    world.pass();
    world.nowMs += 6 * dayMs;
    world.pass();
    assert.equal(world.states, 'e1 Retiring, e2 Active');
    world.nowMs += dayMs;
    world.pass();
    assert.equal(world.states, 'e2 Active');
  });

  it('stops when its record is gone, and goes on when it is back; a look without an answer changes nothing', () => {
    const world = new World({ algorithms: ['Ed25519'] });
    settled(world);
    world.records.set('e1', 'Unknown');
    world.pass();
    assert.equal(world.states, 'e1 Active');
    world.records.set('e1', 'No');
    world.pass();
    assert.equal(world.states, 'e1 Pending');
    assert.equal(world.events.at(-1), 'e1 KeyRecordLost');
    settled(world);
    assert.equal(world.states, 'e1 Active');
  });

  it('that was replaced is used again when its successor loses its record', () => {
    const world = new World({ algorithms: ['RSA2048'] });
    settled(world);
    world.nowMs += 91 * dayMs;
    settled(world);
    assert.equal(world.states, 'r1 Retiring, r2 Active');
    world.records.set('r2', 'No');
    world.pass();
    assert.equal(world.states, 'r1 Active, r2 Pending', 'the pods still have it: no mail goes unsigned');
    settled(world);
    assert.equal(world.states, 'r1 Retiring, r2 Active');
  });

  it('waits for overlapDays where nobody looks', () => {
    const world = new World({ algorithms: ['Ed25519'], checks: 'Disabled' });
    world.pass();
    assert.equal(world.pass().againMs, 7 * dayMs);
    world.nowMs += 7 * dayMs - 1;
    world.pass();
    assert.equal(world.states, 'e1 Pending');
    world.nowMs += 1;
    world.pass();
    world.roll();
    world.pass();
    assert.equal(world.states, 'e1 Active');
  });

  it('of an algorithm that is asked for no more signs until one that is asked for does', () => {
    const world = new World({ algorithms: ['RSA2048'] });
    settled(world);
    world.nowMs += 1;
    world.settings = { ...world.settings, algorithms: ['Ed25519'] };
    world.pass();
    world.pass();
    assert.equal(world.states, 'r1 Active, e2 Pending');
    settled(world);
    assert.equal(world.states, 'r1 Retiring, e2 Active');
  });

  it('is never replaced with a period of 0', () => {
    const world = new World({ algorithms: ['Ed25519'], rotationPeriodMs: 0 });
    settled(world);
    world.nowMs += 5000 * dayMs;
    settled(world);
    assert.equal(world.states, 'e1 Active');
  });

  it('leaves when keys are managed no more', () => {
    const world = new World();
    settled(world);
    world.settings = { ...world.settings, algorithms: [] };
    world.pass();
    assert.match(world.states, /^r1 Retiring, e2 Retiring$/);
    world.roll();
    world.pass();
    world.nowMs += 7 * dayMs;
    world.pass();
    assert.equal(world.states, '');
  });
});

type Step = (world: World) => void;

const steps: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ index: fc.nat(3), record: fc.constantFrom<KeySight['record']>('Yes', 'No', 'Unknown') }).map(
    ({ index, record }): Step =>
      world => {
        const key = world.ring[index % Math.max(1, world.ring.length)];
        if (key !== undefined) world.records.set(key.selector, record);
      },
  ),
  fc.constant<Step>(world => world.publishAll()),
  fc.constant<Step>(world => world.roll()),
  fc.integer({ min: 1, max: 40 }).map(
    (days): Step =>
      world => {
        world.nowMs += days * dayMs;
      },
  ),
  fc.subarray<DkimAlgorithm>(['RSA2048', 'Ed25519']).map(
    (algorithms): Step =>
      world => {
        world.settings = { ...world.settings, algorithms };
      },
  ),
);

const schedules = fc.array(steps, { minLength: 1, maxLength: 60 });

function activeIn(ring: KeyRing): string[] {
  return ring.filter(({ state }) => state === 'Active').map(({ selector }) => selector);
}

describe('whatever happens', () => {
  it('no key signs that was not there at its last definite look, and none begins to before every pod has it', () => {
    fc.assert(
      fc.property(schedules, schedule => {
        const world = new World();
        for (const step of schedule) {
          step(world);
          const before = new Set(activeIn(world.ring));
          world.pass();
          for (const selector of activeIn(world.ring)) {
            assert.equal(world.definite.get(selector), 'Yes');
            if (!before.has(selector)) {
              assert.equal(world.records.get(selector), 'Yes');
              assert.ok(world.loaded.has(selector));
            }
          }
        }
      }),
      { seed, numRuns: 2000 },
    );
  });

  it('there is one that signs for each algorithm at most, one rotation at a time, and few keys', () => {
    fc.assert(
      fc.property(schedules, schedule => {
        const world = new World();
        for (const step of schedule) {
          step(world);
          world.pass();
          for (const algorithm of ['RSA2048', 'Ed25519'] as const) {
            const keys = world.ring.filter(key => key.algorithm === algorithm);
            assert.ok(activeIn(keys).length <= 1, world.states);
            const coming = keys.filter(({ state }) => state === 'Pending' || state === 'Published');
            assert.ok(coming.length <= 2, world.states);
            assert.ok(keys.length <= 8, world.states);
          }
        }
      }),
      { seed, numRuns: 2000 },
    );
  });

  it('every algorithm that is asked for signs again once DNS is good, and no other key is left in the end', () => {
    fc.assert(
      fc.property(schedules, schedule => {
        const world = new World();
        for (const step of schedule) {
          step(world);
          world.pass();
        }
        world.settings = { ...settings, rotationPeriodMs: 0 };
        for (let turn = 0; turn < 12; turn++) {
          settled(world);
          world.nowMs += 8 * dayMs;
        }
        settled(world);
        const states = world.ring.map(({ algorithm, state }) => `${algorithm} ${state}`).sort();
        assert.deepEqual(states, ['Ed25519 Active', 'RSA2048 Active'], world.states);
      }),
      { seed, numRuns: 1000 },
    );
  });

  it('no record is let go while a message that its key signed can be under way', () => {
    fc.assert(
      fc.property(schedules, schedule => {
        const world = new World();
        const lastSigned = new Map<string, number>();
        for (const step of schedule) {
          step(world);
          for (const selector of world.signing) lastSigned.set(selector, world.nowMs);
          world.pass();
          const needed = [...lastSigned].filter(([, timeMs]) => world.nowMs < timeMs + settings.messageLifetimeMs);
          const kept = new Set(world.ring.map(({ selector }) => selector));
          assert.ok(
            needed.every(([selector]) => kept.has(selector)),
            world.states,
          );
        }
      }),
      { seed, numRuns: 2000 },
    );
  });
});
