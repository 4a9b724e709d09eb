/** npm run audit -- [--messages N] [--kills N] [--seed N] [--seconds N] [--control ack-before-commit] */
import { parseArgs } from 'node:util';
import { runAudit } from './audit.ts';

const { values } = parseArgs({
  options: {
    messages: { type: 'string', default: '100000' },
    kills: { type: 'string', default: '50' },
    /** Repeats the kills' instants and what the next hop does; printed, so that a failure can be tried again. */
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    seconds: { type: 'string', default: '900' },
    control: { type: 'string' },
  },
});
const { control } = values;
if (control !== undefined && control !== 'ack-before-commit')
  throw new Error('--control is ack-before-commit or left out');

const say = (line: string): void => console.log(line);
const { figures, faults, duplicates } = await runAudit({
  messages: Number(values.messages),
  kills: Number(values.kills),
  seed: Number(values.seed),
  seconds: Number(values.seconds),
  say,
  ...(control === undefined ? {} : { control }),
});
for (const { what, reason } of duplicates) say(`duplicate: ${what}: ${reason}`);
for (const figure of figures) say(figure);
for (const fault of faults) say(`FAULT: ${fault}`);
say(faults.length === 0 ? 'audit passed: nothing lost' : 'audit FAILED');
process.exitCode = faults.length === 0 ? 0 : 1;
