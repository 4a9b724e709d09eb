/** Programs that are built once, for the test files that need them: before any of those runs, since building takes minutes. */

import { setUpForeignCrds } from '../apiserver/setup/foreign-crds.ts';
import { setUpApiServerPrograms } from '../apiserver/setup/programs.ts';
import { setUpChartPrograms } from '../chart/setup/programs.ts';
import type { FileResult } from './file-run.ts';
import { setUpValkey } from './valkey.ts';

interface BuiltFor {
  /** Test files whose path begins so need them. */
  readonly folder: string;
  readonly setUp: (say: (line: string) => void) => Promise<unknown>;
}

const built: readonly BuiltFor[] = [
  {
    folder: 'test/apiserver/',
    async setUp(say) {
      await setUpApiServerPrograms(say);
      await setUpForeignCrds(say);
    },
  },
  {
    folder: 'test/chart/',
    async setUp(say) {
      await setUpApiServerPrograms(say);
      await setUpForeignCrds(say);
      await setUpChartPrograms(say);
    },
  },
  { folder: 'test/redis/valkey', setUp: setUpValkey },
];

/** The files that can do nothing here, with the reason. */
export async function setUpBuiltPrograms(
  files: readonly string[],
  say: (line: string) => void,
): Promise<ReadonlyMap<string, string>> {
  const unable = new Map<string, string>();
  for (const { folder, setUp } of built) {
    const needing = files.filter(file => file.startsWith(folder));
    if (needing.length === 0) continue;
    try {
      await setUp(say);
    } catch (error) {
      const reason = reasonOf(error);
      say(`set-up: ${folder}: ${reason}`);
      for (const file of needing) unable.set(file, reason.slice(0, longestReason));
    }
  }
  return unable;
}

const longestReason = 400;

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message} (${reasonOf(error.cause)})`;
}

export function skippedFile(file: string, reason: string): FileResult {
  const skipped = { type: 'test', name: '(all of it)', outcome: 'skipped', detail: reason } as const;
  return { file, tests: [skipped], faults: [], figures: [], output: '', durationMs: 0, processorSeconds: 0 };
}
