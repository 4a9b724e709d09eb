/**
 * `npm run bench:redis`: the queue in Redis with `durability: Fsync` beside the one on a volume.
 *
 *   relays   end to end through a relay on a volume and through one, two and three on one Redis, in turn; round trips, Redis' processor time,
 *            keys that are left after each drain
 *   store    both stores alone, and what a queued message takes of the server's memory
 */
import { parseArgs } from 'node:util';
import { setUpPackages } from '../../setup/packages.ts';
import { type Case, cases } from '../relay/cases.ts';
import { describeMachine } from '../relay/machine.ts';
import { postroad } from '../relay/postroad-contender.ts';
import { postroadOnRedis } from '../relay/redis-contender.ts';
import { runCase } from '../relay/run-case.ts';
import { podFlags, shippedSource } from '../relay/shipped.ts';
import { storeFigures } from './store-figures.ts';

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: 'relays,store' },
    cases: { type: 'string', default: 'reuse,large' },
    pairs: { type: 'string', default: '5' },
    /** Of load a run. */
    seconds: { type: 'string', default: '4' },
    /** How long each pair may wait for a machine that nobody else uses. */
    quiet: { type: 'string', default: '0' },
  },
});

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const seconds = Number(values.seconds);
const parts = values.only.split(',');

function caseOf(name: string): Case {
  const found = cases.find(one => one.name === name);
  if (found === undefined) throw new Error(`no case ${name}; there are ${cases.map(one => one.name).join(', ')}`);
  return found;
}

async function relays(): Promise<void> {
  const ours = { root: await shippedSource(new URL('../../..', import.meta.url).pathname), nodeOptions: podFlags };
  const kinds = [postroad(ours), ...[1, 2, 3].map(processes => postroadOnRedis(processes, ours))];
  const options = { pairs: Number(values.pairs), seconds, quietSeconds: Number(values.quiet), say };
  for (const name of values.cases.split(',')) {
    for (const line of await runCase(caseOf(name), kinds, options)) say(line);
  }
}

await setUpPackages(say);
say(await describeMachine());
if (parts.includes('relays')) await relays();
if (parts.includes('store')) await storeFigures({ seconds, say });
