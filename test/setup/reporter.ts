/** A reporter for node:test: one JSON line for each finished test and each diagnostic, for test/run.ts to read. */
import type { TestEvent } from 'node:test/reporters';

export type ReportLine =
  | {
      readonly type: 'test';
      readonly name: string;
      readonly outcome: 'passed' | 'failed' | 'skipped';
      /** Why it was skipped, or how it failed. */
      readonly detail: string;
    }
  | { readonly type: 'figure'; readonly text: string };

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

// biome-ignore lint/style/noDefaultExport: node --test-reporter takes the default export.
export default async function* report(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const event of events) {
    const line = reportLine(event);
    if (line !== undefined) yield `${JSON.stringify(line)}\n`;
  }
}
