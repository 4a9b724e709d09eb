import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { simulate } from '../relay/queue/simulation/simulate.ts';
import { programsMissing } from '../support/programs.ts';

const firstSeed = Date.now() % 1_000_000_000;

describe('Schedules of the shared queue', { skip: programsMissing('redis-server', 'redis-cli') }, () => {
  it('lose nothing, settle nothing twice and leave nothing stuck, whatever crashes, pauses or gets lost', async t => {
    const { failures, asked } = await simulate({ schedules: 300, firstSeed, fencing: true });
    t.diagnostic(`first seed ${firstSeed}, ${asked} questions`);
    assert.deepEqual(failures, []);
  });

  it('fail when a settlement is done also under a lease that has ended (control)', async t => {
    const { failures } = await simulate({ schedules: 100, firstSeed, fencing: false });
    t.diagnostic(`first seed ${firstSeed}, ${failures.length} failed`);
    assert.notEqual(failures.length, 0);
  });

  it('fail when a relay that is heard in one partition takes that for all of them (control)', async t => {
    // Few do: not by seeds that are others each time.
    const { failures } = await simulate({ schedules: 300, firstSeed: 1, fencing: true, eras: false });
    t.diagnostic(`${failures.length} failed`);
    assert.notEqual(failures.length, 0);
  });

  it('are the same each time', async () => {
    const run = () => simulate({ schedules: 20, firstSeed, fencing: true });
    assert.equal((await run()).asked, (await run()).asked);
  });
});
