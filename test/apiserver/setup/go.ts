/** A Go that is new enough for Kubernetes' modules: the machine's, or one from PyPI in the cache (Debian's is too old). */
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { mustRun, runProcess } from '../../support/processes.ts';

/** What the go.mod files here ask for. */
const oldest = { major: 1, minor: 26 };
const here = new URL('.', import.meta.url).pathname;

interface Search {
  readonly cacheFolder: string;
  readonly say: (line: string) => void;
  /** Where it is looked for before one is brought. */
  readonly places?: readonly string[];
}

/** The command to run. */
export async function findGo({ say, ...search }: Search): Promise<string> {
  const found = await goAtHand(search);
  if (found !== undefined) return found;
  const folder = folderIn(search.cacheFolder);
  await install(folder, say);
  const command = commandIn(folder);
  if (await isNewEnough(command)) return command;
  throw new Error(`needs Go ${oldest.major}.${oldest.minor} or later on the PATH to build kube-apiserver`);
}

/** Undefined: one would have to be brought, by python3-pip. */
export async function goAtHand({
  cacheFolder,
  places = ['go', '/usr/local/go/bin/go'],
}: Omit<Search, 'say'>): Promise<string | undefined> {
  for (const command of [...places, commandIn(folderIn(cacheFolder))]) if (await isNewEnough(command)) return command;
  return undefined;
}

function folderIn(cacheFolder: string): string {
  return join(cacheFolder, 'go-1.26.6');
}

function commandIn(folder: string): string {
  return join(folder, 'go', 'bin', 'go');
}

async function isNewEnough(command: string): Promise<boolean> {
  try {
    // Its answer in a folder without a go.mod: no other toolchain is taken for our sake.
    const { stdout } = await runProcess(command, ['env', 'GOVERSION'], { cwd: '/', env: { GOTOOLCHAIN: 'local' } });
    const [, major, minor] = /^go(\d+)\.(\d+)/.exec(stdout) ?? [];
    return Number(major) > oldest.major || (Number(major) === oldest.major && Number(minor) >= oldest.minor);
  } catch (error) {
    // runProcess says so of a command that is not there.
    if (error instanceof Error && error.message.endsWith('could not be run')) return false;
    throw error;
  }
}

async function install(folder: string, say: (line: string) => void): Promise<void> {
  say('set-up: no Go here that is new enough: pip installs one into the cache');
  const building = `${folder}.${process.pid}`;
  const options = ['--quiet', '--disable-pip-version-check', '--root-user-action=ignore', '--no-compile'];
  const file = join(here, 'go-requirements.txt');
  const args = ['-m', 'pip', 'install', ...options, '--require-hashes', '--target', building, '-r', file];
  try {
    await mustRun('python3', args, { timeoutMs: 10 * 60_000 });
  } catch (cause) {
    throw new Error('needs Go 1.26 or later to build kube-apiserver; python3-pip could have brought one', { cause });
  }
  await rm(folder, { recursive: true, force: true });
  await rename(building, folder);
}
