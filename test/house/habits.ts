/** Habits of the house that a text can show. */
import type { SourceFile } from './source-files.ts';

const longestLines = 300;

/** Longer files: how long they may be, and why they would not read better in two. */
const longFiles: Readonly<Record<string, { readonly lines: number; readonly reason: string }>> = {
  'relay/accept/connection.ts': {
    lines: 340,
    reason: "all that replaces smtp-server's own connection, in one class as there",
  },
};

/** The files that are a process: only they know its environment, its signals and its exit. */
const processes = new Set(['relay/main.ts', 'operator/main.ts', 'operator/standalone.ts', 'operator/uninstall.ts']);
const processUse = /\bprocess\.(?:env|exitCode|exit|abort|kill|on|once|addListener)\b/;

/** Names that say nothing about what is inside. */
const emptyNames = /(?:^|\/)(?:utils?|helpers?|shared|common-utils|misc|lib)\//;

export function faultsOfFile(file: SourceFile): string[] {
  return [faultOfLength(file), faultOfProcess(file), faultOfName(file)].filter(fault => fault !== undefined);
}

function faultOfLength({ path, text }: SourceFile): string | undefined {
  const lines = text.split('\n').length - 1;
  const most = longFiles[path]?.lines ?? longestLines;
  return lines <= most
    ? undefined
    : `${path} has ${lines} lines; more than ${most} needs a reason in test/house/habits.ts`;
}

function faultOfProcess({ path, text }: SourceFile): string | undefined {
  const use = processUse.exec(text)?.[0];
  return use === undefined || processes.has(path) ? undefined : `${path} uses ${use}, which is for the main files`;
}

function faultOfName({ path }: SourceFile): string | undefined {
  if (path.endsWith('/index.ts')) return `${path}: no barrels`;
  return emptyNames.test(path) ? `${path}: a folder is named for what is in it` : undefined;
}
