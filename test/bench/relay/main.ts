import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { setUpPackages } from '../../setup/packages.ts';
import { type Case, cases, describe } from './cases.ts';
import type { ContenderKind } from './contender.ts';
import { haraka } from './haraka-contender.ts';
import { describeMachine } from './machine.ts';
import { postfix } from './postfix-contender.ts';
import { postroad } from './postroad-contender.ts';
import { postroadOnRedis } from './redis-contender.ts';
import { runCase } from './run-case.ts';
import { podFlags, shippedSource } from './shipped.ts';

const here = new URL('../../..', import.meta.url).pathname;

const { values } = parseArgs({
  options: {
    /** Names, or `goals` (those with a goal), or `all`. */
    cases: { type: 'string', default: 'goals' },
    pairs: { type: 'string', default: '5' },
    /** Of load a run. */
    seconds: { type: 'string', default: '4' },
    /** How long each pair may wait for a machine that nobody else uses. */
    quiet: { type: 'string', default: '0' },
    relays: { type: 'string', default: 'postroad,postfix,haraka' },
    /** A folder: our relay writes CPU profiles there when it ends. */
    profile: { type: 'string' },
    /** A folder with another state of our source, to run beside this one: what a change is worth. */
    candidate: { type: 'string' },
    /** Of Node, separated by spaces: as in a pod, unless said otherwise. */
    flags: { type: 'string', default: podFlags.join(' ') },
    /** Of Node for the candidate, which is this very source where no folder is given. */
    'candidate-flags': { type: 'string' },
    list: { type: 'boolean', default: false },
  },
});

const say = (line: string): void => void process.stdout.write(`${line}\n`);

function chosenCases(): readonly Case[] {
  if (values.cases === 'all') return cases;
  if (values.cases === 'goals') return cases.filter(({ goal }) => goal !== undefined);
  return values.cases.split(',').map(name => {
    const found = cases.find(one => one.name === name);
    if (found === undefined) throw new Error(`no case ${name}; there are ${cases.map(one => one.name).join(', ')}`);
    return found;
  });
}

const flagsOf = (text: string): string[] => text.split(' ').filter(flag => flag !== '');

async function preparedRelays(): Promise<ContenderKind[]> {
  const profile = values.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${values.profile}`];
  const ours = { root: await shippedSource(here), nodeOptions: [...flagsOf(values.flags), ...profile] };
  const onRedis = [1, 2, 3].map(processes => postroadOnRedis(processes, ours));
  const kinds = [postroad(ours), ...onRedis, postfix, haraka].filter(({ name }) =>
    values.relays.split(',').includes(name),
  );
  if (values.candidate !== undefined || values['candidate-flags'] !== undefined) {
    const root = values.candidate === undefined ? ours.root : await shippedSource(resolve(values.candidate));
    const other = { root, nodeOptions: flagsOf(values['candidate-flags'] ?? values.flags) };
    kinds.push(postroad({ name: 'candidate', ...other }));
    if (values.relays.split(',').includes('redis'))
      kinds.push(postroadOnRedis(1, { name: 'candidate-redis', ...other }));
  }
  const prepared: ContenderKind[] = [];
  for (const kind of kinds) {
    const version = await kind.prepare(say);
    if (version === undefined) continue;
    say(`${kind.name}: ${version}`);
    prepared.push(kind);
  }
  return prepared;
}

async function bench(): Promise<void> {
  await setUpPackages(say);
  say(await describeMachine());
  const kinds = await preparedRelays();
  const options = {
    pairs: Number(values.pairs),
    seconds: Number(values.seconds),
    quietSeconds: Number(values.quiet),
    say,
  };
  for (const one of chosenCases()) {
    for (const line of await runCase(one, kinds, options)) say(line);
  }
}

if (values.list) for (const one of cases) say(`${one.name.padEnd(18)} ${describe(one)}`);
else await bench();
