/** What happens to machines: their power fails, a process of theirs is killed. */

import type { Kubectl } from '../support/kubectl.ts';
import { mustRun } from '../support/processes.ts';
import { controlUrl, runPaths } from './node/layout.ts';
import { nodePrograms } from './setup/programs.ts';

export interface NodePower {
  /** Every pod and daemon of the node is killed at once, then its daemons start again. The API server, which is not of the node, goes on. */
  reboot(): Promise<void>;
  /** SIGKILL for the first process of a pod's first container. */
  killContainer(namespace: string, pod: string): Promise<void>;
  /** The id of that process, for signals that have to come at once; undefined: it does not run just now. */
  processOf(namespace: string, pod: string): Promise<number | undefined>;
  /** Loads more images, from archives. */
  importImages(archives: readonly string[]): Promise<void>;
}

interface PodStatus {
  readonly status: { readonly containerStatuses?: readonly { readonly containerID?: string }[] };
}

export async function nodePowerOf(run: string, kubectl: Kubectl): Promise<NodePower> {
  const { ctr } = await nodePrograms();
  const tasks = ['--address', runPaths(run).containerdSocket, '--namespace', 'k8s.io', 'tasks'];
  async function containerOf(namespace: string, pod: string): Promise<string | undefined> {
    const { status } = JSON.parse(await kubectl.must(['get', 'pod', pod, '-n', namespace, '-o', 'json'])) as PodStatus;
    return status.containerStatuses?.[0]?.containerID?.replace('containerd://', '');
  }
  return {
    reboot: () => order('reboot'),
    async killContainer(namespace, pod) {
      const id = await containerOf(namespace, pod);
      if (id === undefined) throw new Error(`no container of ${namespace}/${pod} has started`);
      await mustRun(ctr, [...tasks, 'kill', '--signal', 'SIGKILL', id]);
    },
    async processOf(namespace, pod) {
      const id = await containerOf(namespace, pod);
      // Columns: TASK PID STATUS.
      const rows = (await mustRun(ctr, [...tasks, 'list'])).split('\n').map(line => line.split(/\s+/));
      const running = rows.find(([task, , status]) => task === id && status === 'RUNNING');
      return running === undefined ? undefined : Number(running[1]);
    },
    importImages: archives => order('import', JSON.stringify(archives)),
  };
}

async function order(action: string, body = ''): Promise<void> {
  const answer = await fetch(`${controlUrl}/${action}`, { method: 'POST', body });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`the node: ${action}: ${text}`);
}
