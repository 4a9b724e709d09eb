/** Makes the namespaces that this process is in a machine of their own: files that only it sees, a network without a way out. */
import { randomUUID } from 'node:crypto';
import { mkdir, readlink, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { mustRun } from '../../support/processes.ts';
import {
  clusterDomain,
  dnsAddress,
  nodeAddress,
  nodeName,
  outsideRanges,
  type RunPaths,
  serviceRange,
} from './layout.ts';

export const bootIdFile = '/proc/sys/kernel/random/boot_id';

/** Of the namespaces that this process is in, as texts to compare. */
export async function namespaces(): Promise<readonly string[]> {
  return await Promise.all(['mnt', 'net', 'pid', 'uts', 'ipc'].map(name => readlink(`/proc/self/ns/${name}`)));
}

/** @throws Error when one of them is among `others`: what is done here must never happen to the machine's own. */
export async function refuseNamespaces(others: readonly string[]): Promise<void> {
  const shared = (await namespaces()).filter(each => others.includes(each));
  if (others.length === 0 || shared.length > 0) {
    throw new Error(`to be run by test/cluster/run.ts in namespaces of its own, not in ${shared.join(', ')}`);
  }
}

export async function makeMachine(paths: RunPaths): Promise<void> {
  await Promise.all([makeFiles(paths), makeNetwork(paths)]);
}

async function makeFiles({ scratch, root }: RunPaths): Promise<void> {
  await mkdir(scratch, { recursive: true });
  await mount('-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', scratch);
  for (const folder of ['/etc', '/var/lib', '/var/log']) {
    const name = folder.replaceAll('/', '-');
    const [upper, work] = [join(scratch, name, 'upper'), join(scratch, name, 'work')];
    await mkdir(upper, { recursive: true });
    await mkdir(work);
    await mount('-t', 'overlay', '-o', `lowerdir=${folder},upperdir=${upper},workdir=${work}`, 'overlay', folder);
  }
  await mount('-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', '/run');
  await mkdir('/run/lock');
  await replace('/etc/hosts', `127.0.0.1 localhost\n${nodeAddress} ${nodeName}\n`);
  const search = ['svc', ''].map(part => [part, clusterDomain].filter(each => each !== '').join('.'));
  await replace('/etc/resolv.conf', `nameserver ${dnsAddress}\nsearch ${search.join(' ')}\noptions ndots:5\n`);
  await replace('/etc/machine-id', `${randomUUID().replaceAll('-', '')}\n`);
  await newBootId(root);
}

/** By it kubelet knows that the node was booted. */
export async function newBootId(root: string): Promise<void> {
  const file = join(root, 'boot-id');
  await rm(file, { force: true });
  await writeFile(file, `${randomUUID()}\n`);
  await mount('--bind', file, bootIdFile);
}

async function replace(file: string, text: string): Promise<void> {
  // It may be a link to a file that is not to be written to.
  await rm(file, { force: true });
  await writeFile(file, text);
}

async function makeNetwork({ cni }: RunPaths): Promise<void> {
  await mustRun('hostname', [nodeName]);
  const ip = async (...args: string[]): Promise<void> => void (await mustRun('ip', args));
  await ip('link', 'set', 'lo', 'up');
  await ip('link', 'add', 'cni0', 'type', 'bridge');
  await ip('address', 'add', `${nodeAddress}/24`, 'dev', 'cni0');
  await ip('link', 'set', 'cni0', 'up');
  // Only for the choice of a source address: kube-proxy's rules lead elsewhere.
  await ip('route', 'add', serviceRange, 'dev', 'cni0');
  for (const range of outsideRanges) await ip('route', 'add', 'local', range, 'dev', 'lo');
  await writeFile('/proc/sys/net/ipv4/ip_forward', '1');
  await writeFile('/proc/sys/net/bridge/bridge-nf-call-iptables', '1');
  await mkdir(cni, { recursive: true });
  await writeFile(join(cni, '10-bridge.conflist'), JSON.stringify(cniConfiguration));
}

const cniConfiguration = {
  cniVersion: '1.0.0',
  name: 'pods',
  plugins: [
    {
      type: 'bridge',
      bridge: 'cni0',
      isGateway: true,
      hairpinMode: true,
      ipam: {
        type: 'host-local',
        ranges: [[{ subnet: '10.244.0.0/24' }]],
        routes: [{ dst: '0.0.0.0/0' }],
      },
    },
    { type: 'portmap', capabilities: { portMappings: true } },
  ],
};

async function mount(...args: string[]): Promise<void> {
  await mustRun('mount', args);
}
