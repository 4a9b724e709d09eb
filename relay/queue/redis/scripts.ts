/** The scripts, one a transition: scripts/*.lua, with the parts they include put in. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const names = [
  'open',
  'upload',
  'enqueue',
  'claim',
  'peek',
  'next-due',
  'suspend',
  'renew',
  'settle',
  'withdraw',
  'beat',
  'leave',
  'list',
  'move',
  'stats',
  'probe',
  'lanes',
] as const;

export type ScriptName = (typeof names)[number];

export interface Script {
  readonly text: string;
  readonly sha: string;
}

export type Scripts = Readonly<Record<ScriptName, Script>>;

const folder = join(import.meta.dirname, 'scripts');

/** `clock`: Lua that says `now`, in place of the server's clock; for tests, which own the time. */
export function readScripts(clock?: string): Scripts {
  const read = (name: ScriptName): [ScriptName, Script] => {
    const text = readFileSync(join(folder, `${name}.lua`), 'utf8').replace(/^-- @include (.*)$/m, (_, parts: string) =>
      parts
        .split(' ')
        .map(part => readPart(part, clock))
        .join('\n'),
    );
    return [name, { text, sha: createHash('sha1').update(text).digest('hex') }];
  };
  return Object.fromEntries(names.map(read)) as Scripts;
}

function readPart(part: string, clock: string | undefined): string {
  if (part === 'clock' && clock !== undefined) return clock;
  return readFileSync(join(folder, 'parts', `${part}.lua`), 'utf8');
}
