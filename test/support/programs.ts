import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

const places = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin', '/usr/lib/postfix/sbin'];

/** For a test's `skip`: false when every program is there, else the reason. CI counts a skip as a failure. */
export function programsMissing(...names: readonly string[]): string | false {
  const missing = names.filter(name => !places.some(place => isExecutable(join(place, name))));
  return missing.length === 0 ? false : `needs ${missing.join(', ')}: see test/setup/packages.ts`;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
