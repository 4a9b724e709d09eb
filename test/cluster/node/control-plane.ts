/** API server, controllers and scheduler, as processes of the node. */
import { join } from 'node:path';
import { startApiServer, type TestApiServer } from '../../support/apiserver.ts';
import { certificateUser, type KeyPair, writeKubeconfig } from '../../support/apiserver-certificates.ts';
import type { NodePrograms } from '../setup/programs.ts';
import { type RunningComponent, startComponent } from './component.ts';
import { nodeAddress, nodeName, type RunPaths } from './layout.ts';

export interface ControlPlane {
  readonly server: TestApiServer;
  readonly kubeconfigs: { readonly kubelet: string; readonly kubeProxy: string };
  readonly scheduler: RunningComponent;
}

const proxyName = 'front-proxy-client';

export async function startControlPlane(programs: NodePrograms, paths: RunPaths): Promise<ControlPlane> {
  const server = await startApiServer({
    audit: 'Disabled',
    controllerManager: true,
    controllers: ['*'],
    async flags({ caFile, issueClient }) {
      const [client, proxy] = await Promise.all([
        issueClient('kubelet-client', '/O=system:masters/CN=kube-apiserver-kubelet-client'),
        issueClient('proxy-client', `/CN=${proxyName}`),
      ]);
      return [
        '--bind-address=0.0.0.0',
        // Where pods reach it: the one address of the Service kubernetes.
        `--advertise-address=${nodeAddress}`,
        '--endpoint-reconciler-type=lease',
        `--kubelet-client-certificate=${client.certificateFile}`,
        `--kubelet-client-key=${client.privateKeyFile}`,
        '--kubelet-preferred-address-types=InternalIP',
        // For servers of other APIs, whom it tells by these who asks.
        `--proxy-client-cert-file=${proxy.certificateFile}`,
        `--proxy-client-key-file=${proxy.privateKeyFile}`,
        `--requestheader-client-ca-file=${caFile}`,
        `--requestheader-allowed-names=${proxyName}`,
        '--requestheader-username-headers=X-Remote-User',
        '--requestheader-group-headers=X-Remote-Group',
        '--requestheader-extra-headers-prefix=X-Remote-Extra-',
      ];
    },
  });
  const { issueClient, caFile } = server.certificates;
  async function kubeconfigOf(name: string, subject: string): Promise<string> {
    const keys: KeyPair = await issueClient(name, subject);
    const file = join(paths.root, `${name}.kubeconfig`);
    await writeKubeconfig(file, server.url, caFile, certificateUser(keys));
    return file;
  }
  const [kubelet, kubeProxy, scheduler] = await Promise.all([
    kubeconfigOf('kubelet', `/O=system:nodes/CN=system:node:${nodeName}`),
    kubeconfigOf('kube-proxy', '/CN=system:kube-proxy'),
    kubeconfigOf('kube-scheduler', '/CN=system:kube-scheduler'),
  ]);
  return {
    server,
    kubeconfigs: { kubelet, kubeProxy },
    scheduler: await startComponent(paths.logs, {
      name: 'kube-scheduler',
      command: programs.kubeScheduler,
      args: [
        `--kubeconfig=${scheduler}`,
        `--authentication-kubeconfig=${scheduler}`,
        `--authorization-kubeconfig=${scheduler}`,
        '--leader-elect=false',
        '--bind-address=127.0.0.1',
      ],
    }),
  };
}
