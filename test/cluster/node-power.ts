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
  /** The same with another signal, such as SIGSTOP. */
  signalContainer(namespace: string, pod: string, signal: NodeJS.Signals): Promise<void>;
  /** Loads more images, from archives. */
  importImages(archives: readonly string[]): Promise<void>;
}

interface PodStatus {
  readonly status: { readonly containerStatuses?: readonly { readonly containerID?: string }[] };
}

export async function nodePowerOf(run: string, kubectl: Kubectl): Promise<NodePower> {
  const { ctr } = await nodePrograms();
  const paths = runPaths(run);
  async function signalContainer(namespace: string, pod: string, signal: NodeJS.Signals): Promise<void> {
    const { status } = JSON.parse(await kubectl.must(['get', 'pod', pod, '-n', namespace, '-o', 'json'])) as PodStatus;
    const id = status.containerStatuses?.[0]?.containerID?.replace('containerd://', '');
    if (id === undefined) throw new Error(`no container of ${namespace}/${pod} has started`);
    await mustRun(ctr, [
      ...['--address', paths.containerdSocket, '--namespace', 'k8s.io'],
      ...['tasks', 'kill', '--signal', signal, id],
    ]);
  }
  return {
    reboot: () => order('reboot'),
    killContainer: (namespace, pod) => signalContainer(namespace, pod, 'SIGKILL'),
    signalContainer,
    importImages: archives => order('import', JSON.stringify(archives)),
  };
}

async function order(action: string, body = ''): Promise<void> {
  const answer = await fetch(`${controlUrl}/${action}`, { method: 'POST', body });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`the node: ${action}: ${text}`);
}
