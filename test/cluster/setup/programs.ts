/** What a node runs and is not in the API tests' set-up already: built from Go modules; runc, iptables and the CNI plugins are Debian's. */
import { dirname, join } from 'node:path';
import {
  type ApiServerPrograms,
  findApiServerPrograms,
  kubernetesProgram,
  setUpApiServerPrograms,
} from '../../apiserver/setup/programs.ts';
import { type ChartPrograms, findChartPrograms, setUpChartPrograms } from '../../chart/setup/programs.ts';
import { findGoPrograms, type GoBuild, setUpGoPrograms } from '../../setup/go-programs.ts';

const here = new URL('.', import.meta.url).pathname;

function github<Name extends string>(program: Name, module: string, folder = ''): GoBuild<Name> {
  const moduleFolder = join(here, module.split('/')[1] ?? module);
  return {
    program,
    moduleFolder,
    module: `github.com/${module}`,
    package: join(`github.com/${module}`, folder),
  };
}

const kubernetes = [kubernetesProgram('kubelet'), kubernetesProgram('kube-scheduler'), kubernetesProgram('kube-proxy')];

/** Debian 12 has containerd 1.6, which is too old for this kubelet. */
const containerd = [
  github('containerd', 'containerd/containerd/v2', 'cmd/containerd'),
  github('containerd-shim-runc-v2', 'containerd/containerd/v2', 'cmd/containerd-shim-runc-v2'),
  github('ctr', 'containerd/containerd/v2', 'cmd/ctr'),
];

const coredns = [github('coredns', 'coredns/coredns')];
const provisioner = [github('local-path-provisioner', 'rancher/local-path-provisioner')];
const adapter = [
  {
    program: 'adapter' as const,
    moduleFolder: join(here, 'prometheus-adapter'),
    module: 'sigs.k8s.io/prometheus-adapter',
    package: 'sigs.k8s.io/prometheus-adapter/cmd/adapter',
  },
];
/** A program of ours around the one part that is wanted: the rest of kube-router brings the SDK of a cloud, which alone takes minutes to build. */
const enforcer = [{ ...github('kube-router', 'cloudnativelabs/kube-router/v2'), package: '.' }];
const pause = [{ program: 'pause' as const, moduleFolder: join(here, 'pause'), package: '.' }];

export interface NodePrograms extends ApiServerPrograms, Pick<ChartPrograms, 'helm'> {
  readonly kubelet: string;
  readonly kubeScheduler: string;
  readonly kubeProxy: string;
  readonly containerd: string;
  readonly ctr: string;
  /** Of containerd and its shim. */
  readonly containerdFolder: string;
}

/** Static programs that images are made of. */
export interface ImagePrograms {
  readonly pause: string;
  readonly coredns: string;
  readonly provisioner: string;
}

/** @throws Error when set-up has not made them. */
export async function nodePrograms(): Promise<NodePrograms> {
  const [api, chart, node, runtime] = await Promise.all([
    findApiServerPrograms(),
    findChartPrograms(),
    findGoPrograms(kubernetes),
    findGoPrograms(containerd),
  ]);
  if (api === undefined || chart === undefined || node === undefined || runtime === undefined) {
    throw new Error('the programs of a node are not built: node test/cluster/setup/main.ts');
  }
  return {
    ...api,
    helm: chart.helm,
    kubelet: node.kubelet,
    kubeScheduler: node['kube-scheduler'],
    kubeProxy: node['kube-proxy'],
    containerd: runtime.containerd,
    ctr: runtime.ctr,
    containerdFolder: dirname(runtime.containerd),
  };
}

/** Those that need the longest and share the most with others first. */
export async function setUpNodePrograms(say: (line: string) => void): Promise<void> {
  await setUpApiServerPrograms(say);
  await setUpChartPrograms(say);
  await setUpGoPrograms(kubernetes, say);
  await setUpGoPrograms(containerd, say);
}

export async function setUpImagePrograms(say: (line: string) => void): Promise<ImagePrograms> {
  const [own, dns, volumes] = [
    await setUpGoPrograms(pause, say),
    await setUpGoPrograms(coredns, say),
    await setUpGoPrograms(provisioner, say),
  ];
  return { pause: own.pause, coredns: dns.coredns, provisioner: volumes['local-path-provisioner'] };
}

export async function hasImagePrograms(): Promise<boolean> {
  const found = await Promise.all([pause, coredns, provisioner].map(each => findGoPrograms<string>(each)));
  return found.every(each => each !== undefined);
}

/** prometheus-adapter, which one journey runs beside its cluster. */
export async function setUpAdapter(say: (line: string) => void): Promise<void> {
  await setUpGoPrograms(adapter, say);
}

/** @throws Error when set-up has not made it. */
export async function adapterProgram(): Promise<string> {
  const found = await findGoPrograms(adapter);
  if (found === undefined) throw new Error('prometheus-adapter is not built: node test/cluster/run.ts builds it');
  return found.adapter;
}

/** kube-router, whose firewall one journey runs beside its cluster. */
export async function setUpEnforcer(say: (line: string) => void): Promise<void> {
  await setUpGoPrograms(enforcer, say);
}

/** @throws Error when set-up has not made it. */
export async function enforcerProgram(): Promise<string> {
  const found = await findGoPrograms(enforcer);
  if (found === undefined) throw new Error('kube-router is not built: node test/cluster/run.ts builds it');
  return found['kube-router'];
}
