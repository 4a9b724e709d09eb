/** npm run audit -- [--store volume|redis] [--topology single|sentinel|cluster] [--messages N] [--kills N] [--seed N] [--seconds N] [--control ack-before-commit|no-fencing] */
import { parseArgs } from 'node:util';
import { type AuditReport, runAudit } from './audit.ts';
import { runRedisAudit } from './redis-audit.ts';
import { redisControls } from './redis-chaos.ts';
import { topologies } from './redis-world.ts';

const { values } = parseArgs({
  options: {
    messages: { type: 'string', default: '100000' },
    kills: { type: 'string', default: '50' },
    /** Repeats the kills' instants and what the next hop does; printed, so that a failure can be tried again. */
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    seconds: { type: 'string', default: '900' },
    control: { type: 'string' },
    store: { type: 'string', default: 'volume' },
    topology: { type: 'string', default: 'single' },
  },
});
const { control } = values;
const say = (line: string): void => console.log(line);
const numbers = { messages: Number(values.messages), seed: Number(values.seed), seconds: Number(values.seconds), say };

async function audit(): Promise<AuditReport> {
  if (values.store === 'redis') {
    const wanted = redisControls.find(known => known === control);
    if (control !== undefined && wanted === undefined)
      throw new Error(`--control is ${redisControls.join(', ')} or left out`);
    const topology = topologies.find(known => known === values.topology);
    if (topology === undefined) throw new Error(`--topology is one of ${topologies.join(', ')}`);
    return await runRedisAudit({
      ...numbers,
      topology,
      faults: Number(values.kills),
      ...(wanted === undefined ? {} : { control: wanted }),
    });
  }
  if (control !== undefined && control !== 'ack-before-commit')
    throw new Error('--control is ack-before-commit or left out');
  return await runAudit({ ...numbers, kills: Number(values.kills), ...(control === undefined ? {} : { control }) });
}

const { figures, faults, duplicates } = await audit();
for (const { what, reason, story } of duplicates)
  if (story !== undefined) say(`duplicate: ${what}: ${reason}: ${story}`);
for (const figure of figures) say(figure);
for (const fault of faults) say(`FAULT: ${fault}`);
say(faults.length === 0 ? 'audit passed: nothing lost' : 'audit FAILED');
process.exitCode = faults.length === 0 ? 0 : 1;
