/** `npm run bench:operator` in small: what must hold at any size. How fast it is, only a machine of its own can say. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { changes } from '../bench/operator/changes.ts';
import { converge } from '../bench/operator/converge.ts';
import { writesByOperator } from '../bench/operator/operator-figures.ts';
import { changesLines, convergenceLines, restartLines } from '../bench/operator/report.ts';
import { restart } from '../bench/operator/restart.ts';
import { startScaleWorld } from '../bench/operator/scale-world.ts';
import { total } from '../bench/operator/server-figures.ts';
import { stillness, untilStill } from '../bench/operator/settle.ts';
import { operatorNodeFlags } from '../support/operator-process.ts';
import { seededRandom } from '../support/seeded-random.ts';

const size = { relays: 10, policies: 50 };
/** Of the operator, for one relay and five policies. Each more is a request more of each of thousands. */
const mostWrites = { relay: 20, policy: 5 };
/** The policy as the user writes it, its status twice; the relay's configuration, the nudge of its pod, its status twice. Some order is unlucky. */
const mostWritesOfAChange = 7.5;
const count = 15;

test('a fleet comes to rest, a change touches what it names alone, and a restart writes nothing', async t => {
  const seed = Number(process.env['POSTROAD_TEST_SEED'] ?? Date.now() % 2 ** 31);
  t.diagnostic(`seed ${seed}`);
  const say = (line: string): void => t.diagnostic(line);
  await using world = await startScaleWorld({ size, operatorFlags: [], nodeFlags: operatorNodeFlags });

  const { operator, figures } = await converge(world, size, { limitMs: 90_000, say });
  for (const line of convergenceLines(figures, size).slice(0, 3)) say(line);
  const writes = writesByOperator(figures.series);
  const most = size.relays * mostWrites.relay + size.policies * mostWrites.policy;
  assert.ok(writes <= most, `${writes} writes of the operator, of at most ${most}`);

  await untilStill(world);
  const still = await stillness(world, operator, 5);
  assert.deepEqual([...still.writes], [], 'nobody writes while nothing changes');
  assert.equal(still.writesByOperator, 0);

  const changed = await changes(world, { ...size, count, random: seededRandom(seed), limitMs: 20_000 });
  for (const line of changesLines(changed)) say(line);
  assert.deepEqual(changed.disturbed, []);
  assert.ok(total(changed.writes) <= count * mostWritesOfAChange, JSON.stringify([...changed.writes]));
  await operator.stop();

  const again = await restart(world, size, 0);
  for (const line of restartLines('restart', again)) say(line);
  assert.equal(again.writesByOperator, 0);
  assert.deepEqual(again.changed, []);
  await again.operator.stop();
});
