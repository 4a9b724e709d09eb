/** kubelet and kube-proxy. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { NodePrograms } from '../setup/programs.ts';
import { type RunningComponent, startComponent } from './component.ts';
import type { ControlPlane } from './control-plane.ts';
import {
  clusterDomain,
  dnsAddress,
  nodeAddress,
  nodeName,
  outsideDnsAddress,
  podRange,
  type RunPaths,
} from './layout.ts';

export async function startKubelet(
  programs: NodePrograms,
  paths: RunPaths,
  { server, kubeconfigs }: ControlPlane,
): Promise<RunningComponent> {
  await mkdir(paths.kubelet, { recursive: true });
  await mkdir(paths.podLogs, { recursive: true });
  const resolvConf = join(paths.root, 'pod-resolv.conf');
  await writeFile(resolvConf, `nameserver ${outsideDnsAddress}\n`);
  const file = join(paths.root, 'kubelet.json');
  const configuration = {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    address: nodeAddress,
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: server.caFile },
    },
    authorization: { mode: 'Webhook' },
    cgroupDriver: 'cgroupfs',
    cgroupRoot: `/${paths.id}`,
    failCgroupV1: false,
    failSwapOn: false,
    containerRuntimeEndpoint: `unix://${paths.containerdSocket}`,
    clusterDNS: [dnsAddress],
    clusterDomain,
    resolvConf,
    podLogsDir: paths.podLogs,
    volumePluginDir: join(paths.root, 'volume-plugins'),
    // A machine that others use too: what is scarce here is not for the tests to fight over.
    evictionHard: {
      'memory.available': '50Mi',
      'nodefs.available': '1%',
      'nodefs.inodesFree': '1%',
      'imagefs.available': '1%',
    },
    imageGCHighThresholdPercent: 100,
    imageGCLowThresholdPercent: 99,
  };
  await writeFile(file, JSON.stringify(configuration));
  return await startComponent(paths.logs, {
    name: 'kubelet',
    command: programs.kubelet,
    args: [
      `--config=${file}`,
      `--kubeconfig=${kubeconfigs.kubelet}`,
      `--root-dir=${paths.kubelet}`,
      `--cert-dir=${join(paths.kubelet, 'pki')}`,
      `--hostname-override=${nodeName}`,
      `--node-ip=${nodeAddress}`,
    ],
  });
}

export async function startKubeProxy(
  programs: NodePrograms,
  paths: RunPaths,
  { kubeconfigs }: ControlPlane,
): Promise<RunningComponent> {
  const file = join(paths.root, 'kube-proxy.json');
  const configuration = {
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    mode: 'iptables',
    clientConnection: { kubeconfig: kubeconfigs.kubeProxy },
    clusterCIDR: podRange,
    hostnameOverride: nodeName,
    // The size of the kernel's table is the machine's, which stays as it is.
    conntrack: { maxPerCore: 0 },
  };
  await writeFile(file, JSON.stringify(configuration));
  return await startComponent(paths.logs, {
    name: 'kube-proxy',
    command: programs.kubeProxy,
    args: [`--config=${file}`],
  });
}
