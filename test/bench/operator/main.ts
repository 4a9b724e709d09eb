/**
 * `npm run bench:operator`: a fleet of relays and policies on a real API server, and the operator as a process beside it.
 *
 *   converge ─► settle ─► one change at a time ─► restart ─► restart, and something new at once
 *
 * Everything runs on this machine: API server, etcd, controller manager, pods' stand-in, DNS and the operator share its cores.
 */
import { parseArgs } from 'node:util';
import { setUpApiServerPrograms } from '../../apiserver/setup/programs.ts';
import { setUpPackages } from '../../setup/packages.ts';
import { operatorNodeFlags } from '../../support/operator-process.ts';
import { seededRandom } from '../../support/seeded-random.ts';
import { describeMachine } from '../relay/machine.ts';
import { changes } from './changes.ts';
import { converge } from './converge.ts';
import { changesLines, convergenceLines, restartLines, stillnessLines } from './report.ts';
import { restart } from './restart.ts';
import { startScaleWorld } from './scale-world.ts';
import { total } from './server-figures.ts';
import { stillness, untilStill } from './settle.ts';

const { values } = parseArgs({
  options: {
    relays: { type: 'string', default: '1000' },
    policies: { type: 'string', default: '5000' },
    changes: { type: 'string', default: '300' },
    /** How long nothing may be written, in seconds. */
    settled: { type: 'string', default: '60' },
    /** Chooses the policies that are changed. */
    seed: { type: 'string' },
    /** Further ones for the operator, separated by spaces. */
    'operator-flags': { type: 'string', default: '' },
    /** A folder: each operator writes a CPU profile there when it ends. */
    profile: { type: 'string' },
    /** For Node, separated by spaces; the chart's, unless said otherwise. */
    'node-flags': { type: 'string', default: operatorNodeFlags.join(' ') },
    /** In seconds, for the convergence. */
    limit: { type: 'string', default: '1800' },
  },
});

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const words = (text: string): string[] => text.split(' ').filter(word => word !== '');
const faults: string[] = [];

function demand(holds: boolean, what: string): void {
  if (holds) return;
  faults.push(what);
  say(`FAULT: ${what}`);
}

async function bench(): Promise<void> {
  const size = { relays: Number(values.relays), policies: Number(values.policies) };
  const seed = Number(values.seed ?? Date.now() % 2 ** 31);
  say(await describeMachine());
  say(`seed ${seed}; ${size.relays} relays, ${size.policies} policies`);
  const profile = values.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${values.profile}`];
  const startMs = performance.now();
  await using world = await startScaleWorld({
    size,
    operatorFlags: words(values['operator-flags']),
    nodeFlags: [...profile, ...words(values['node-flags'])],
  });
  say(`the API server has them after ${((performance.now() - startMs) / 1000).toFixed(0)} s; the operator starts`);

  const { operator, figures } = await converge(world, size, { limitMs: Number(values.limit) * 1000, say });
  for (const line of convergenceLines(figures, size)) say(line);

  await untilStill(world);
  const still = await stillness(world, operator, Number(values.settled));
  for (const line of stillnessLines(still)) say(line);
  demand(still.writesByOperator === 0 && total(still.writes) === 0, 'something was written while nothing changed');

  const options = { ...size, count: Number(values.changes), random: seededRandom(seed), limitMs: 60_000 };
  const changed = await changes(world, options);
  for (const line of changesLines(changed)) say(line);
  demand(changed.disturbed.length === 0, `a change touched ${changed.disturbed.slice(0, 5).join(', ')} as well`);
  await operator.stop();

  const again = await restart(world, size, 0);
  for (const line of restartLines('restart', again)) say(line);
  demand(again.writesByOperator === 0 && again.changed.length === 0, 'a restart wrote something');
  await again.operator.stop();

  const withNew = await restart(world, size, 1);
  for (const line of restartLines('restart, and a relay with a policy is added as soon as it leads', withNew))
    say(line);
  const others = withNew.changed.filter(key => !key.endsWith('/added'));
  demand(others.length === 0, `the restart changed ${others.slice(0, 5).join(', ')}`);
  await withNew.operator.stop();
}

await setUpPackages(say);
await setUpApiServerPrograms(say);
await bench();
process.exitCode = faults.length === 0 ? 0 : 1;
