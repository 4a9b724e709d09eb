/**
 * `npm run bench:guard [-- --against REVISION]`: what the hot paths cost now, by that of the last commit, within a minute. It is there to be read.
 * It fails only where each pair of runs takes more than 1.5 times the processor time, and each again with new processes: no noise does that. What the
 * machine has no time for is not compared, and did not fail. The last line is `N passed, N failed` over the cases that were, as that of the tests.
 */
import { parseArgs } from 'node:util';
import { setUpPackages } from '../../setup/packages.ts';
import { programsMissing } from '../../support/programs.ts';
import { cases } from '../relay/cases.ts';
import { type Comparison, compare, type Time, type Work } from './compare.ts';
import { prepareSides, type Sides } from './sides.ts';

const { values } = parseArgs({
  options: {
    against: { type: 'string' },
    cases: { type: 'string', default: 'reuse,connect,large' },
    /** After which no case begins a third pair of runs, by equal shares. */
    seconds: { type: 'string', default: '30' },
    /** After which no run begins. */
    limit: { type: 'string', default: '50' },
  },
});

const grossRatio = 1.5;
/** Messages of a run, by case: about one CPU second. */
const amounts: ReadonlyMap<string, number> = new Map([
  ['reuse', 3000],
  ['connect', 1500],
  ['large', 600],
]);
const works = values.cases.split(',').map(workOf);

function workOf(name: string): Work {
  const what = cases.find(one => one.name === name);
  const messages = amounts.get(name);
  if (what === undefined || messages === undefined) throw new Error(`there are ${[...amounts.keys()].join(', ')}`);
  return { what, warmUp: messages / 3, messages };
}

const say = (line: string): void => console.log(line);

function line(name: string, { here, before, ratio, pairs }: Comparison): string {
  const [low, middle, high] = [ratio.min, ratio.median, ratio.max].map(value => value.toFixed(2));
  return `${name.padEnd(8)} ${before.toFixed(3)} -> ${here.toFixed(3)}   x${middle} (${low} to ${high}, ${pairs} pairs)`;
}

/** Undefined when there was no time to tell. */
async function passes(one: Work, sides: Sides, time: Time): Promise<boolean | undefined> {
  for (const which of ['', ' again']) {
    const compared = await compare(one, sides, time);
    say(
      `${compared === undefined ? `${one.what.name.padEnd(8)} not compared: no time left` : line(one.what.name, compared)}${which}`,
    );
    if (compared === undefined) return undefined;
    if (compared.ratio.min <= grossRatio) return true;
  }
  return false;
}

async function guard(): Promise<{ passed: number; failed: number }> {
  const endMs = performance.now() + Number(values.limit) * 1000;
  await setUpPackages(say);
  const missing = programsMissing('smtp-source');
  const sides = missing === false ? await prepareSides(values.against) : undefined;
  if (sides === undefined) {
    say(`nothing compared: ${missing === false ? 'the other commit is not here' : missing}`);
    return { passed: 0, failed: 0 };
  }
  say(
    `CPU s of a relay per 1,000 messages, ${sides.commit} -> here; more than x${grossRatio} in each pair, twice, fails`,
  );
  const share = (Number(values.seconds) * 1000) / works.length;
  const begunMs = performance.now();
  const results: (boolean | undefined)[] = [];
  for (const [at, one] of works.entries()) {
    results.push(await passes(one, sides, { enoughMs: begunMs + share * (at + 1), endMs }));
  }
  return {
    passed: results.filter(result => result === true).length,
    failed: results.filter(result => result === false).length,
  };
}

const { passed, failed } = await guard();
say(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
