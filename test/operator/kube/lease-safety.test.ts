/** Whatever the network, the processes and their wall clocks do: never two leaders, and a leader again when it is over. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Uptime } from '../../../operator/kube/uptime.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { LeaseServer, type NetworkFault, type Operator, startOperator } from './lease-world.ts';

interface Trouble {
  readonly whose: 0 | 1;
  readonly network: NetworkFault;
  readonly pauseMs: number;
  readonly wallJumpMs: number;
  readonly requestMs: number;
  readonly answerMs: number;
  readonly workEndMs: number;
  readonly thenMs: number;
}

const troubles: fc.Arbitrary<Trouble> = fc.record({
  whose: fc.constantFrom(0, 1),
  network: fc.constantFrom<NetworkFault>('none', 'none', 'requestLost', 'answerLost', 'refused'),
  pauseMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 40_000 })),
  wallJumpMs: fc.oneof(fc.constant(0), fc.integer({ min: -100_000, max: 100_000 })),
  requestMs: fc.oneof(fc.constant(5), fc.integer({ min: 1, max: 9000 })),
  answerMs: fc.oneof(fc.constant(5), fc.integer({ min: 1, max: 9000 })),
  workEndMs: fc.integer({ min: 0, max: 3000 }),
  thenMs: fc.integer({ min: 100, max: 20_000 }),
});

const stepMs = 97;
/** 100 s of the clock: more than any request or wait in here takes. */
const mostStopSteps = 2000;

/** Two that lead at one time; undefined: there never were two, and there is one at the end. */
async function run(script: readonly Trouble[], wrapUptime?: (uptime: Uptime) => Uptime): Promise<string | undefined> {
  const base = new FakeClock();
  const server = new LeaseServer();
  const wrap = wrapUptime === undefined ? {} : { wrapUptime };
  const operators = ['a', 'b'].map(identity => startOperator({ base, server, identity, ...wrap }));
  let fault: string | undefined;

  async function pass(ms: number): Promise<void> {
    for (let leftMs = ms; leftMs > 0; leftMs -= stepMs) {
      await base.advance(Math.min(stepMs, leftMs));
      if (operators.every(({ elector }) => elector.isLeading)) fault ??= `two lead at ${base.now()}`;
    }
  }

  for (const { whose, thenMs, pauseMs, wallJumpMs, ...trouble } of script) {
    const operator = operators[whose] as Operator;
    Object.assign(operator, trouble);
    operator.wallOffsetMs += wallJumpMs;
    operator.pausedUntilMs = base.now() + pauseMs;
    await pass(thenMs);
  }
  for (const operator of operators)
    Object.assign(operator, { network: 'none', pausedUntilMs: 0, requestMs: 5, answerMs: 5 });
  await pass(60_000);
  if (!operators.some(({ elector }) => elector.isLeading)) fault ??= 'nobody leads though nothing is wrong any more';
  let stopped = 0;
  const stopping = operators.map(operator => operator.stop().finally(() => stopped++));
  for (let steps = 0; stopped < 2 && steps < mostStopSteps; steps += 1) await base.advance(50);
  if (stopped < 2) return `${2 - stopped} of two did not stop in time`;
  await Promise.all(stopping);
  return fault;
}

const scripts = fc.array(troubles, { minLength: 1, maxLength: 12 });

test('two electors never lead at once, through pauses, lost answers, slow networks and clocks that are set', async t => {
  const seed = Date.now();
  t.diagnostic(`seed ${seed}`);
  await fc.assert(
    fc.asyncProperty(scripts, async script => assert.equal(await run(script), undefined)),
    // Made smaller, a failing script would keep everybody waiting for minutes: the seed says how to see it again.
    { numRuns: 40, seed, endOnFailure: true },
  );
});

test('control: a leader that believes in its lease for longer than it lasts is found out', async () => {
  const { failed } = await fc.check(
    fc.asyncProperty(scripts, async script => {
      const believing = (uptime: Uptime): Uptime => ({ ...uptime, deadline: ms => uptime.patience(ms * 3) });
      assert.equal(await run(script, believing), undefined);
    }),
    // Ends with the first that is found: one of some twenty scripts.
    { numRuns: 1000, endOnFailure: true },
  );
  assert.ok(failed);
});
