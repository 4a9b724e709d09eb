/** npm run simulate -- [--schedules N] [--seed N] [--control no-fencing | no-eras]: schedules of the shared queue, by the thousand. */
import { parseArgs } from 'node:util';
import { simulate } from './simulate.ts';

const { values } = parseArgs({
  options: {
    schedules: { type: 'string', default: '100000' },
    /** Of the first; each next has the next. */
    seed: { type: 'string', default: '1' },
    control: { type: 'string' },
  },
});
const began = performance.now();
const { failures, asked } = await simulate({
  schedules: Number(values.schedules),
  firstSeed: Number(values.seed),
  fencing: values.control !== 'no-fencing',
  eras: values.control !== 'no-eras',
  say: line => console.log(line),
});
const seconds = (performance.now() - began) / 1000;
console.log(`${values.schedules} schedules, ${asked} questions, ${seconds.toFixed(0)} s, ${failures.length} failed`);
process.exitCode = failures.length === 0 ? 0 : 1;
