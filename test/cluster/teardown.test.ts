/** Whatever ends a run, this machine is afterwards as it was, and the next run works. */
import assert from 'node:assert/strict';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { test } from 'node:test';
import { signalGroup } from '../setup/process-group.ts';
import { type Exit, mustRun, type OwnedProcess, runProcess, startProcess } from '../support/processes.ts';
import { waitUntil } from '../support/wait-until.ts';
import { bootCluster, joinCommand } from './node/boot.ts';
import { cgroupsNamed } from './node/cgroups.ts';
import { foldersOfFiles, removeDeadRuns, runNames, runsOf, stateOf } from './node/run-folder.ts';
import { setUpSystemImages } from './setup/images.ts';
import { nodePrograms } from './setup/programs.ts';

const bootLimitMs = 180_000;
const program = new URL('node/boot-alone.ts', import.meta.url).pathname;
const wholeRun = new URL('run.ts', import.meta.url).pathname;
/** It has a relay with a volume, queued mail and name servers of its own, and no load. */
const journeyUnderWay = 'journeys/uninstall';
const quiet = (): void => undefined;

/** Of this machine, by what a cluster changes in its own namespaces. */
interface Machine {
  readonly links: readonly string[];
  readonly rules: string;
  readonly mounts: readonly string[];
  readonly hosts: string;
  readonly folders: readonly string[];
}

async function look(): Promise<Machine> {
  const links = JSON.parse(await mustRun('ip', ['-json', 'link'])) as readonly { readonly ifname: string }[];
  const mounts = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n').map(line => line.split(' ')[4] ?? '');
  const places = ['/run', '/var/log', '/var/lib', '/var/lib/cni', '/var/lib/kubelet', '/run/netns', '/run/containerd'];
  const folders = await Promise.all(places.map(async place => `${place}: ${(await entries(place)).join(' ')}`));
  return {
    links: links.map(({ ifname }) => ifname),
    rules: await rules(),
    // Other runs on this machine come and go meanwhile; theirs are in namespaces of their own too.
    mounts: mounts.filter(place => /postroad-run|kubelet|netns|containerd|cni/.test(place)),
    hosts: await readFile('/etc/hosts', 'utf8'),
    folders,
  };
}

async function rules(): Promise<string> {
  const tables = await Promise.all(['filter', 'nat'].map(table => mustRun('iptables', ['--wait', '-t', table, '-S'])));
  return tables.join('\n');
}

async function entries(folder: string): Promise<readonly string[]> {
  try {
    return (await readdir(folder)).sort();
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
}

/** Processes of a PID namespace. */
async function processesOf(namespace: string): Promise<readonly string[]> {
  const ids = (await readdir('/proc')).filter(name => /^\d+$/.test(name));
  const found = await Promise.all(ids.map(async id => ((await namespaceOf(id)) === namespace ? [id] : [])));
  return found.flat();
}

async function namespaceOf(pid: string | number): Promise<string | undefined> {
  try {
    return await readlink(`/proc/${pid}/ns/pid`);
  } catch (error) {
    // Ended meanwhile; dead and not asked after yet; or of somebody whom even root may not look at here, and so none of ours.
    const codes = ['ENOENT', 'ESRCH', 'EACCES'];
    if (error instanceof Error && 'code' in error && codes.includes(String(error.code))) return undefined;
    throw error;
  }
}

async function assertNothingLeft(name: string, before: Machine): Promise<void> {
  assert.deepEqual(await look(), before);
  assert.deepEqual([...(await cgroupsNamed(name))], []);
  assert.ok(!(await runNames()).includes(name), `the folder of ${name} is left`);
  assert.deepEqual(await foldersOfFiles(name), []);
}

test('a cluster that is ended in order leaves nothing', { timeout: bootLimitMs }, async () => {
  await removeDeadRuns();
  const before = await look();
  const archives = await setUpSystemImages(quiet);
  await using booted = await bootCluster({ archives, image: undefined, say: quiet });
  const namespace = await namespaceOf(booted.state.initPid);
  assert.ok(namespace !== undefined && (await processesOf(namespace)).length > 10);
  await booted[Symbol.asyncDispose]();
  assert.deepEqual(await processesOf(namespace), []);
  await assertNothingLeft(booted.paths.id, before);
});

for (const [when, line] of [
  ['half-way through its boot', 'daemons of the node run'],
  ['when pods run', '^up$'],
] as const) {
  test(`a run that is killed ${when} leaves a folder and cgroups, which the next one removes`, {
    timeout: bootLimitMs,
  }, async () => {
    await removeDeadRuns();
    const before = await look();
    await using run = startRun(process.execPath, [program]);
    await run.until(`the line ${line}`, () => run.lines.some(each => new RegExp(line).test(each)));
    await assertNothingLeftWhenKilled(run, before);
  });
}

for (const [what, kill] of [
  ['process', (run: OwnedProcess) => void run.child.kill('SIGKILL')],
  ['process group', (run: OwnedProcess) => signalGroup(run.pid, 'SIGKILL')],
] as const) {
  test(`a run whose ${what} is killed while a journey has a relay up leaves what the next run removes`, {
    timeout: 2 * bootLimitMs,
  }, async () => {
    await removeDeadRuns();
    const before = await look();
    // In a group of its own.
    await using run = startRun('setsid', [
      'env',
      'POSTROAD_TEST_CLUSTER=new',
      process.execPath,
      wholeRun,
      journeyUnderWay,
    ]);
    await run.until('a relay of the journey', async () => await hasRelay(run.process.pid), 2 * bootLimitMs);
    const [paths] = await runsOf(run.process.pid);
    assert.notDeepEqual(await foldersOfFiles(paths?.id ?? ''), []);
    await assertNothingLeftWhenKilled(run, before, kill);
  });
}

interface KilledRun extends AsyncDisposable {
  readonly process: OwnedProcess;
  readonly lines: readonly string[];
  until(what: string, check: () => boolean | Promise<boolean>, limitMs?: number): Promise<void>;
}

/** A program that dies with this one. */
function startRun(command: string, args: readonly string[]): KilledRun {
  const lines: string[] = [];
  const running = startProcess('setpriv', ['--pdeathsig', 'KILL', command, ...args], {
    onLine: each => lines.push(each),
  });
  let ended: Exit | undefined;
  running.exited.then(
    exit => {
      ended = exit;
    },
    () => undefined,
  );
  return {
    process: running,
    lines,
    async until(what, check, limitMs = 120_000) {
      const checkAlive = async (): Promise<boolean> => {
        if (ended !== undefined) throw new Error(`${lines.join('\n')}\n${running.errors()}`);
        return await check();
      };
      await waitUntil(what, checkAlive, { limitMs, everyMs: 100 });
    },
    [Symbol.asyncDispose]: async () => void (await running.stop('SIGKILL')),
  };
}

async function assertNothingLeftWhenKilled(
  { process: run }: KilledRun,
  before: Machine,
  kill = (each: OwnedProcess): void => void each.child.kill('SIGKILL'),
): Promise<void> {
  const [paths] = await runsOf(run.pid);
  const namespace = await namespaceOfCluster(run.pid);
  assert.ok(paths !== undefined && namespace !== undefined);
  kill(run);
  await run.exited;
  // Only now: once the last has ended, the number of its namespace may be another cluster's.
  await waitUntil('its last process to end', async () => (await processesOf(namespace)).length === 0, {
    limitMs: 20_000,
  });
  // Of the links, mounts and rules nothing is left before anybody has cleaned up.
  assert.deepEqual(await look(), before);
  assert.ok((await removeDeadRuns()).includes(paths.id), `the next run did not remove ${paths.id}`);
  await assertNothingLeft(paths.id, before);
}

/** Ready, in the cluster of this run. */
async function hasRelay(pid: number): Promise<boolean> {
  const [paths] = await runsOf(pid);
  const state = paths === undefined ? undefined : await stateOf(paths);
  if (state === undefined) return false;
  const { kubectl } = await nodePrograms();
  const [command = '', ...through] = joinCommand(state, '/');
  const get = ['get', 'pods', '--namespace=mail', '-o', 'json', `--kubeconfig=${state.kubeconfig}`];
  const { code, stdout } = await runProcess(command, [...through, kubectl, ...get]);
  return code === 0 && /"type": "Ready"/.test(stdout) && /"ready": true/.test(stdout);
}

/** The command that makes the namespaces is the run's child; the first process in them is the child of that. */
async function namespaceOfCluster(pid: number): Promise<string | undefined> {
  const mine = await namespaceOf(pid);
  for (const child of await childrenOf(pid)) {
    for (const first of await childrenOf(child)) {
      const namespace = await namespaceOf(first);
      if (namespace !== mine) return namespace;
    }
  }
  return undefined;
}

async function childrenOf(pid: number | string): Promise<readonly string[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return text.split(' ').filter(each => each !== '');
}
