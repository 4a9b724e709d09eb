/**
 * buildah with storage of its own in the cache, so that layers are kept from run to run. One builds at a time; each command runs in namespaces
 * that die with it, so that a run that was killed leaves no mount and no process.
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cacheRoot } from '../../setup/go-programs.ts';
import { mustRun, startProcess } from '../../support/processes.ts';

export interface Builder {
  readonly say: (line: string) => void;
  /** For what is made on the way: gone when the builder is. */
  readonly scratch: string;
  /** In a mount namespace of its own. */
  run(command: string, ...args: readonly string[]): Promise<string>;
  buildah(...args: readonly string[]): Promise<string>;
  hasImage(name: string): Promise<boolean>;
  build(build: ImageBuild): Promise<void>;
}

export interface ImageBuild {
  readonly name: string;
  /** Context, with a Dockerfile in it. */
  readonly folder: string;
  readonly args?: readonly string[];
}

/** Every file of an image is of this time: the same content makes the same image. */
const fileTime = '0';
const buildLimitMs = 15 * 60_000;
const isolate = ['KILL', 'unshare', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];

export function imagesFolder(): string {
  return join(cacheRoot(), 'images');
}

export async function withBuilder<T>(say: (line: string) => void, work: (builder: Builder) => Promise<T>): Promise<T> {
  await mkdir(imagesFolder(), { recursive: true });
  const scratch = await mkdtemp(join(tmpdir(), 'postroad-image-'));
  const unlock = await lock(join(imagesFolder(), 'lock'), say);
  try {
    const builder = makeBuilder(scratch, say);
    // Left by a run that was killed.
    await builder.buildah('rm', '--all');
    return await work(builder);
  } finally {
    await unlock();
    await rm(scratch, { recursive: true, force: true });
  }
}

function makeBuilder(scratch: string, say: (line: string) => void): Builder {
  const storage = ['--root', join(imagesFolder(), 'storage'), '--runroot', join(scratch, 'run')];
  const env = { BUILDAH_ISOLATION: 'chroot', TMPDIR: scratch };
  async function run(command: string, ...args: readonly string[]): Promise<string> {
    return await mustRun('setpriv', ['--pdeathsig', ...isolate, command, ...args], { timeoutMs: buildLimitMs, env });
  }
  async function buildah(...args: readonly string[]): Promise<string> {
    return await run('buildah', ...storage, ...args);
  }
  return {
    say,
    scratch,
    run,
    buildah,
    async hasImage(name) {
      return (await buildah('images', '--format', '{{.Name}}:{{.Tag}}')).split('\n').includes(name);
    },
    async build({ name, folder, args = [] }) {
      const startedMs = performance.now();
      const layers = ['--layers', '--pull-never', '--timestamp', fileTime, '--format', 'oci'];
      await runSaying(say, [...storage, 'bud', ...layers, ...args, '--tag', name, folder], env);
      say(`set-up: ${name} is built, ${((performance.now() - startedMs) / 1000).toFixed(0)} s`);
    },
  };
}

async function runSaying(say: (line: string) => void, args: readonly string[], env: Record<string, string>) {
  const last: string[] = [];
  const running = startProcess('setpriv', ['--pdeathsig', ...isolate, 'buildah', ...args], {
    env,
    onLine(line) {
      const step = /STEP \d+\/\d+: .{0,70}/.exec(line)?.[0];
      if (step !== undefined) say(`set-up:   ${step}`);
      last.push(line);
      if (last.length > keptLines) last.shift();
    },
  });
  const timer = setTimeout(() => running.child.kill('SIGKILL'), buildLimitMs);
  try {
    const { code, signal } = await running.exited;
    if (code !== 0) throw new Error(`buildah ended with ${signal ?? code}\n${last.join('\n')}\n${running.errors()}`);
  } finally {
    clearTimeout(timer);
  }
}

const keptLines = 60;

/** Held by a process that ends with this one, however this one ends. */
async function lock(file: string, say: (line: string) => void): Promise<() => Promise<void>> {
  const waiting = setTimeout(() => say('set-up: another run builds images; waiting for it'), 1000);
  const held = Promise.withResolvers<void>();
  const command = [
    'flock',
    '--exclusive',
    '--timeout',
    '1800',
    '--no-fork',
    file,
    'sh',
    '-c',
    'echo held; exec sleep 3600',
  ];
  const holder = startProcess('setpriv', ['--pdeathsig', 'KILL', ...command], {
    onLine: () => held.resolve(),
  });
  holder.exited.then(
    () => held.reject(new Error(`no lock on ${file}: ${holder.errors()}`)),
    error => held.reject(error),
  );
  try {
    await held.promise;
  } finally {
    clearTimeout(waiting);
  }
  return async () => void (await holder.stop());
}
