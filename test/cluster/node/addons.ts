/** Names and volumes, as pods of the cluster. */
import { readFile } from 'node:fs/promises';
import { mustRun } from '../../support/processes.ts';
import { imageNames } from '../setup/images.ts';
import { dnsAddress, outsideDnsAddress, type RunPaths } from './layout.ts';

export async function applyAddons(kubectl: string, kubeconfig: string, { volumes }: RunPaths): Promise<void> {
  const values: Readonly<Record<string, string>> = {
    OUTSIDE_DNS: outsideDnsAddress,
    DNS_ADDRESS: dnsAddress,
    COREDNS_IMAGE: imageNames.coredns,
    PROVISIONER_IMAGE: imageNames.provisioner,
    BUSYBOX_IMAGE: imageNames.busybox,
    VOLUMES_FOLDER: volumes,
  };
  for (const name of ['coredns', 'local-path']) {
    const text = await readFile(new URL(`manifests/${name}.yaml`, import.meta.url), 'utf8');
    const manifest = Object.entries(values).reduce((all, [key, value]) => all.replaceAll(key, value), text);
    await mustRun(kubectl, ['--kubeconfig', kubeconfig, 'apply', '-f', '-'], { input: manifest, timeoutMs: 60_000 });
  }
}
