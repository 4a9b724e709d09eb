/** Volumes of chosen disks, made by hand as an administrator without a provisioner does. */
import { chmod, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { mustRun, runProcess } from '../../support/processes.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import type { Cluster } from '../cluster.ts';

export const storageClass = 'chosen-disks';

export interface Disks extends AsyncDisposable {
  /** Takes all the room that the disk of this claim has left. */
  fill(claim: string): Promise<void>;
  /** Gives it back. */
  clear(claim: string): Promise<void>;
}

/** One disk for each claim of the namespace, of its size. */
export async function makeDisks(
  { kubectl }: Cluster,
  namespace: string,
  sizesMib: Readonly<Record<string, number>>,
): Promise<Disks> {
  const parts = new AsyncDisposableStack();
  const { path } = parts.use(await temporaryFolder());
  await chmod(path, 0o755);
  const objects: unknown[] = [
    {
      apiVersion: 'storage.k8s.io/v1',
      kind: 'StorageClass',
      metadata: { name: storageClass },
      provisioner: 'kubernetes.io/no-provisioner',
    },
  ];
  for (const [claim, sizeMib] of Object.entries(sizesMib)) {
    const folder = join(path, claim);
    await mkdir(folder);
    await mustRun('mount', ['-t', 'tmpfs', '-o', `size=${sizeMib}m,mode=0777`, 'tmpfs', folder]);
    parts.defer(() => mustRun('umount', ['--lazy', folder]).then(() => undefined));
    objects.push({
      apiVersion: 'v1',
      kind: 'PersistentVolume',
      metadata: { name: `disk-${claim}` },
      spec: {
        storageClassName: storageClass,
        capacity: { storage: '1Gi' },
        accessModes: ['ReadWriteOnce'],
        persistentVolumeReclaimPolicy: 'Retain',
        claimRef: { namespace, name: claim },
        hostPath: { path: folder, type: 'Directory' },
      },
    });
  }
  await kubectl.must(['apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }));
  parts.defer(async () => {
    const volumes = Object.keys(sizesMib).map(claim => `disk-${claim}`);
    // They go once the claims do, which the end of the journey takes away.
    await kubectl.must(['delete', 'pv', ...volumes, '--wait=false']);
    await kubectl.must(['delete', 'storageclass', storageClass]);
  });
  const filler = (claim: string): string => join(path, claim, 'filler');
  return {
    async fill(claim) {
      await writeFile(filler(claim), '');
      const { stderr } = await runProcess('dd', ['if=/dev/zero', `of=${filler(claim)}`, 'bs=64k']);
      if (!stderr.includes('No space left')) throw new Error(`the disk of ${claim} is not full: ${stderr}`);
    },
    clear: claim => rm(filler(claim)),
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}
