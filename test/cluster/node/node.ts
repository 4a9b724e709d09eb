/** The node: what a machine of a cluster runs. It can be booted anew, as if its power had failed. */
import { readFile, rm } from 'node:fs/promises';
import { mustRun, runProcess } from '../../support/processes.ts';
import { waitUntil } from '../../support/wait-until.ts';
import type { NodePrograms } from '../setup/programs.ts';
import { killAllIn } from './cgroups.ts';
import type { RunningComponent } from './component.ts';
import type { ControlPlane } from './control-plane.ts';
import { startKubelet, startKubeProxy } from './kubelet.ts';
import type { RunPaths } from './layout.ts';
import { bootIdFile, newBootId } from './machine.ts';
import { importImages, startContainerd } from './runtime.ts';

export interface Node {
  /** Rejects when a daemon has ended by itself. */
  check(): Promise<void>;
  reboot(): Promise<void>;
  importImages(archives: readonly string[]): Promise<void>;
}

interface NodeParts {
  readonly programs: NodePrograms;
  readonly paths: RunPaths;
  readonly controlPlane: Promise<ControlPlane>;
}

/** containerd first, which does not wait for an API server. */
export async function startNode(parts: NodeParts, archives: readonly string[]): Promise<Node> {
  const { programs, paths } = parts;
  let running: RunningComponent[] = [await startContainerd(programs, paths)];
  await importImages(programs, paths, archives);
  running.push(...(await startDaemons(parts)));
  return {
    async check() {
      for (const component of running) await component.check();
    },
    async reboot() {
      const dying = running;
      running = [];
      await Promise.all(dying.map(({ process }) => process.stop('SIGKILL')));
      await killAllIn(paths.id);
      await forgetWhatPowerKept(paths);
      running = [await startContainerd(programs, paths)];
      running.push(...(await startDaemons(parts)));
    },
    importImages: more => importImages(programs, paths, more),
  };
}

async function startDaemons({ programs, paths, controlPlane }: NodeParts): Promise<RunningComponent[]> {
  const plane = await controlPlane;
  return await Promise.all([startKubelet(programs, paths, plane), startKubeProxy(programs, paths, plane)]);
}

/** Mounts, links, rules of the network, connections, /run: all that is in a machine's memory alone. */
async function forgetWhatPowerKept({ root, containerd, kubelet }: RunPaths): Promise<void> {
  for (const place of (await mountsBelow([containerd, kubelet, '/run', bootIdFile])).toReversed()) {
    await mustRun('umount', ['--lazy', place]);
  }
  await rm(`${containerd}/state`, { recursive: true, force: true });
  for (const folder of ['/run/netns', '/run/containerd']) await rm(folder, { recursive: true, force: true });
  for (const table of ['filter', 'nat', 'mangle']) {
    await mustRun('iptables', ['--wait', '-t', table, '-F']);
    await mustRun('iptables', ['--wait', '-t', table, '-X']);
  }
  await runProcess('conntrack', ['-F']);
  await waitUntil('the links of pods to be gone', async () => (await podLinks()).length === 0, { limitMs: 20_000 });
  await newBootId(root);
}

/** A pod's link goes with its network namespace, a moment after the last process in it. */
async function podLinks(): Promise<readonly unknown[]> {
  const text = await mustRun('ip', ['-json', 'link', 'show', 'master', 'cni0']);
  return text === '' ? [] : (JSON.parse(text) as readonly unknown[]);
}

async function mountsBelow(folders: readonly string[]): Promise<readonly string[]> {
  const lines = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n');
  return lines
    .map(line => line.split(' ')[4] ?? '')
    .filter(place => folders.some(folder => place === bootIdFile || place.startsWith(`${folder}/`)));
}
