/** `npm run bench:growth`: what a relay costs as work grows. Every figure is of a relay process of its own, from source as the image has it. */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { describeMachine } from '../relay/machine.ts';
import { podFlags, shippedSource } from '../relay/shipped.ts';
import type { CaseContext, Finding } from './finding.ts';
import { growSessions } from './idle.ts';
import { growMessage } from './message.ts';
import { growPolicies } from './policies.ts';
import { growQueue } from './queue.ts';

const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: 'message,idle,policies,queue' },
    messages: { type: 'string', default: '1000000' },
    destinations: { type: 'string', default: '100000' },
    /** That the relay tries to deliver them for. */
    seconds: { type: 'string', default: '60' },
    sessions: { type: 'string', default: '10000' },
    policies: { type: 'string', default: '5000' },
    /** MiB, smallest first. */
    sizes: { type: 'string', default: '1,25,100' },
    /** Of Node, separated by spaces: as in a pod, unless said otherwise. */
    flags: { type: 'string', default: podFlags.join(' ') },
  },
});

const cases: Readonly<Record<string, (context: CaseContext) => Promise<Finding[]>>> = {
  message: context => growMessage(values.sizes.split(',').map(Number), context),
  idle: context => growSessions(Number(values.sessions), context),
  policies: context => growPolicies(Number(values.policies), context),
  queue: context =>
    growQueue(
      {
        messages: Number(values.messages),
        destinations: Number(values.destinations),
        workSeconds: Number(values.seconds),
      },
      context,
    ),
};

const say = (line: string): void => void process.stdout.write(`${line}\n`);

function row({ what, measured, goal = '', reached }: Finding): string {
  const shown = reached === false ? `**${measured}, not reached**` : measured;
  return `| ${what} | ${goal} | ${shown} |`;
}

const root = new URL('../../..', import.meta.url).pathname;
const entry = join(await shippedSource(root), 'relay', 'main.ts');
const nodeFlags = values.flags.split(' ').filter(flag => flag !== '');
say(await describeMachine());
for (const name of values.cases.split(',')) {
  const grow = cases[name];
  if (grow === undefined) throw new Error(`no case ${name}; there are ${Object.keys(cases).join(', ')}`);
  const findings = await grow({ entry, nodeFlags, say });
  say(`# ${name}\n| | goal | measured |\n| --- | --- | --- |`);
  for (const finding of findings) say(row(finding));
  if (findings.some(({ reached }) => reached === false)) process.exitCode = 1;
}
