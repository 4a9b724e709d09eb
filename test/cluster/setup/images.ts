/** Images of what every cluster runs beside the product, each made of one static program: archives in the cache, for a node to import. */
import { createHash } from 'node:crypto';
import { chmod, mkdir, readFile, rename, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { exists } from '../../apiserver/setup/exists.ts';
import { cacheRoot } from '../../setup/go-programs.ts';
import { mustRun } from '../../support/processes.ts';
import { setUpImagePrograms } from './programs.ts';

export const imageNames = {
  pause: 'registry.k8s.io/pause:3.10',
  coredns: 'docker.io/coredns/coredns:1.15.0',
  provisioner: 'docker.io/rancher/local-path-provisioner:v0.0.30',
  /** A shell and its usual commands: for the provisioner's helper pods, and for journeys. */
  busybox: 'docker.io/library/busybox:1.35',
} as const;

type ImageName = keyof typeof imageNames;

const busyboxProgram = '/bin/busybox';
/** Of what is done here; raise it when that changes. */
const recipe = 1;

/** Paths of the archives. */
export async function setUpSystemImages(say: (line: string) => void): Promise<readonly string[]> {
  const programs = { ...(await setUpImagePrograms(say)), busybox: busyboxProgram };
  const hash = createHash('sha256').update(JSON.stringify([recipe, imageNames]));
  for (const path of Object.values(programs)) hash.update(await readFile(path));
  const folder = join(cacheRoot(), `images-${hash.digest('hex').slice(0, 8)}`);
  const names = Object.keys(imageNames) as ImageName[];
  const archives = names.map(name => join(folder, `${name}.tar`));
  if (await exists(folder)) return archives;
  say('set-up: making the images of pause, CoreDNS, the volume provisioner and a shell');
  const building = `${folder}.${process.pid}`;
  await mkdir(join(building, 'archives'), { recursive: true });
  try {
    for (const name of names) await makeImage(building, name, programs[name]);
    await rename(join(building, 'archives'), folder).catch(async (error: unknown) => {
      if (!(await exists(folder))) throw error;
    });
  } finally {
    await rm(building, { recursive: true, force: true });
  }
  return archives;
}

async function makeImage(building: string, name: ImageName, program: string): Promise<void> {
  const storage = ['--root', join(building, 'storage'), '--runroot', join(building, 'run'), '--storage-driver', 'vfs'];
  const buildah = async (...args: string[]): Promise<string> =>
    (await mustRun('buildah', [...storage, ...args], { timeoutMs: 120_000 })).trim();
  const content = await contentOf(building, name, program);
  const container = await buildah('from', 'scratch');
  await buildah('copy', container, content, '/');
  await buildah('config', '--env', 'PATH=/bin', '--entrypoint', JSON.stringify([`/bin/${commandOf[name]}`]), container);
  if (name === 'busybox') await buildah('config', '--entrypoint', '', '--cmd', '/bin/sh', container);
  await buildah('commit', container, `docker-archive:${join(building, 'archives', `${name}.tar`)}:${imageNames[name]}`);
  await buildah('rm', container);
}

async function contentOf(building: string, name: ImageName, program: string): Promise<string> {
  const root = join(building, name);
  const target = join(root, 'bin', commandOf[name]);
  await mkdir(join(root, 'bin'), { recursive: true });
  await mkdir(join(root, 'tmp'));
  await chmod(join(root, 'tmp'), 0o1777);
  await mustRun('cp', [program, target]);
  await chmod(target, 0o755);
  if (name === 'busybox') {
    const applets = (await mustRun(program, ['--list'])).split('\n').filter(applet => applet !== 'busybox');
    for (const applet of applets) await symlink('busybox', join(root, 'bin', applet));
  }
  return root;
}

/** What the manifests of each call it. */
const commandOf: Readonly<Record<ImageName, string>> = {
  pause: 'pause',
  coredns: 'coredns',
  provisioner: 'local-path-provisioner',
  busybox: 'busybox',
};
