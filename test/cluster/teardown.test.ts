/** Whatever ends a run, this machine is afterwards as it was, and the next run works. */
import assert from 'node:assert/strict';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { test } from 'node:test';
import { type Exit, mustRun, startProcess } from '../support/processes.ts';
import { waitUntil } from '../support/wait-until.ts';
import { bootCluster } from './node/boot.ts';
import { cgroupsNamed } from './node/cgroups.ts';
import { removeDeadRuns, runNames } from './node/run-folder.ts';
import { setUpSystemImages } from './setup/images.ts';

const bootLimitMs = 180_000;
const program = new URL('node/boot-alone.ts', import.meta.url).pathname;
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

async function assertNothingLeft(name: string, before: Machine, namespace: string | undefined): Promise<void> {
  assert.deepEqual(await look(), before);
  assert.deepEqual([...(await cgroupsNamed(name))], []);
  assert.ok(!(await runNames()).includes(name), `the folder of ${name} is left`);
  if (namespace !== undefined) assert.deepEqual(await processesOf(namespace), []);
}

test('a cluster that is ended in order leaves nothing', { timeout: bootLimitMs }, async () => {
  await removeDeadRuns();
  const before = await look();
  const archives = await setUpSystemImages(quiet);
  await using booted = await bootCluster({ tree: 'alone', archives, image: undefined, say: quiet });
  const namespace = await namespaceOf(booted.state.initPid);
  assert.ok(namespace !== undefined && (await processesOf(namespace)).length > 10);
  await booted[Symbol.asyncDispose]();
  await assertNothingLeft(booted.paths.id, before, namespace);
});

for (const [when, line] of [
  ['half-way through its boot', 'cluster: .*daemons of the node run'],
  ['when pods run', '^up$'],
] as const) {
  test(`a run that is killed ${when} leaves a folder and cgroups, which the next one removes`, {
    timeout: bootLimitMs,
  }, async () => {
    await removeDeadRuns();
    const before = await look();
    const known = await runNames();
    const lines: string[] = [];
    const run = startProcess(process.execPath, [program], { onLine: each => lines.push(each) });
    await using _ended = { [Symbol.asyncDispose]: async () => void (await run.stop('SIGKILL')) };
    let ended: Exit | undefined;
    run.exited.then(
      exit => {
        ended = exit;
      },
      () => undefined,
    );
    await waitUntil(
      `the line ${line}`,
      () => {
        if (ended !== undefined) throw new Error(`${lines.join('\n')}\n${run.errors()}`);
        return lines.some(each => new RegExp(line).test(each));
      },
      { limitMs: 120_000 },
    );
    const [name = ''] = (await runNames()).filter(each => !known.includes(each));
    const namespace = await namespaceOfFirstChild(run.pid);
    await run.stop('SIGKILL');
    assert.notEqual(namespace, undefined);
    await waitUntil('its last process to end', async () => (await processesOf(namespace ?? '')).length === 0, {
      limitMs: 20_000,
    });
    // Of the links, mounts and rules nothing is left before anybody has cleaned up.
    assert.deepEqual(await look(), before);
    assert.ok((await removeDeadRuns()).includes(name), `the next run did not remove ${name}`);
    await assertNothingLeft(name, before, namespace);
  });
}

/** The command that makes the namespaces is the program's child; the first process in them is the child of that. */
async function namespaceOfFirstChild(pid: number): Promise<string | undefined> {
  const childOf = async (parent: number | string): Promise<string> =>
    (await readFile(`/proc/${parent}/task/${parent}/children`, 'utf8')).split(' ')[0] ?? '';
  return await namespaceOf(await childOf(await childOf(pid)));
}
