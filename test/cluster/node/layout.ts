/** Where everything of a run lies, and the addresses of its cluster: each run has a network of its own, so they are the same in all. */
import { join } from 'node:path';

export const nodeName = 'node';
export const nodeAddress = '10.244.0.1';
export const podRange = '10.244.0.0/24';
export const serviceRange = '10.96.0.0/16';
export const dnsAddress = '10.96.0.10';
export const clusterDomain = 'cluster.local';
/** CoreDNS asks here for whatever is not of the cluster. Nobody listens until a journey does. */
export const outsideDnsAddress = '198.51.100.53';
/** Of the documentation (RFC 5737): the whole Internet of a cluster. Any process of the run may listen on any of them. */
export const outsideRanges = ['192.0.2.0/24', '198.51.100.0/24', '203.0.113.0/24'];
/** What a journey asks of the node itself. */
export const controlUrl = 'http://127.0.0.1:10999';

export interface RunPaths {
  readonly root: string;
  /** Name of the run, and of its cgroup. */
  readonly id: string;
  readonly owner: string;
  readonly state: string;
  readonly logs: string;
  readonly temporary: string;
  readonly scratch: string;
  readonly containerd: string;
  readonly containerdSocket: string;
  readonly cni: string;
  readonly kubelet: string;
  readonly podLogs: string;
  readonly volumes: string;
}

export function runPaths(root: string): RunPaths {
  const inRoot = (name: string): string => join(root, name);
  return {
    root,
    id: root.split('/').at(-1) ?? root,
    owner: inRoot('owner.json'),
    state: inRoot('state.json'),
    logs: inRoot('logs'),
    temporary: inRoot('tmp'),
    scratch: inRoot('scratch'),
    containerd: inRoot('containerd'),
    containerdSocket: inRoot('containerd.sock'),
    cni: inRoot('cni'),
    kubelet: inRoot('kubelet'),
    podLogs: inRoot('pod-logs'),
    volumes: inRoot('volumes'),
  };
}
