/** A reporter for node:test: one JSON line for each finished test and each diagnostic, for test/run.ts to read. */
import { readFileSync } from 'node:fs';
import type { TestEvent } from 'node:test/reporters';

export type ReportLine =
  | {
      readonly type: 'test';
      readonly name: string;
      readonly outcome: 'passed' | 'failed' | 'skipped';
      /** Why it was skipped, or how it failed. */
      readonly detail: string;
    }
  | { readonly type: 'figure'; readonly text: string }
  | { readonly type: 'processor'; readonly seconds: number };

/** Node's own closing figures come as diagnostics too. */
const closing = /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) [\d.]+$/;

function reportLine(event: TestEvent): ReportLine | undefined {
  if (event.type === 'test:diagnostic') {
    return closing.test(event.data.message) ? undefined : { type: 'figure', text: event.data.message };
  }
  if (event.type !== 'test:pass' && event.type !== 'test:fail') return undefined;
  const { name, skip, todo, details } = event.data;
  // A suite fails with its tests; alone it fails only by its hooks, which then count once for the suite.
  const isSuite = details.type === 'suite';
  if (event.type === 'test:fail') {
    const error = event.data.details.error;
    if (isSuite && 'failureType' in error && error.failureType === 'subtestsFailed') return undefined;
    return { type: 'test', name, outcome: 'failed', detail: describe(error) };
  }
  if (isSuite && skip === undefined) return undefined;
  const left = skip ?? todo;
  if (left === undefined || left === false) return { type: 'test', name, outcome: 'passed', detail: '' };
  return { type: 'test', name, outcome: 'skipped', detail: left === true ? 'no reason given' : String(left) };
}

function describe(error: Error): string {
  const { cause } = error;
  return cause instanceof Error ? (cause.stack ?? cause.message) : String(cause ?? error.message);
}

/** Clock ticks of Linux in a second, wherever Node runs. */
const ticks = 100;

/** Of this process and of those it started and waited for; 0 where there is no /proc. */
function processorSeconds(): number {
  if (process.platform !== 'linux') return 0;
  const text = readFileSync('/proc/self/stat', 'utf8');
  // After the name, which may hold spaces: state is field 3; user, system, and the children's of both are 14 to 17.
  const used = text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 15);
  return used.reduce((sum, field) => sum + Number(field), 0) / ticks;
}

// biome-ignore lint/style/noDefaultExport: node --test-reporter takes the default export.
export default async function* report(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const event of events) {
    const line = reportLine(event);
    if (line !== undefined) yield `${JSON.stringify(line)}\n`;
  }
  yield `${JSON.stringify({ type: 'processor', seconds: processorSeconds() } satisfies ReportLine)}\n`;
}
