/** Enforcement of NetworkPolicies, by kube-router's firewall as a process of the node: a bridge alone, which is the network of pods here, knows none. */
import { startProcess } from '../../support/processes.ts';
import type { Cluster } from '../cluster.ts';
import { nodeName, serviceRange } from '../node/layout.ts';
import { enforcerProgram } from '../setup/programs.ts';

/** Its rules go with it. They are in a network that is the cluster's own. */
export async function startEnforcer({ kubeconfigFile }: Cluster): Promise<AsyncDisposable> {
  const running = startProcess(await enforcerProgram(), [kubeconfigFile, nodeName, serviceRange]);
  return {
    async [Symbol.asyncDispose]() {
      const { code, signal } = await running.stop();
      if (code !== 0) throw new Error(`kube-router ended with ${signal ?? code}\n${running.errors()}`);
    },
  };
}
