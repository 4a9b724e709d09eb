/** Images of those that the relay talks to in journeys: clients of several languages, the outside world, and a Redis. */
import { cp, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { findGo } from '../../apiserver/setup/go.ts';
import { cacheRoot } from '../../setup/go-programs.ts';
import { mustRun } from '../../support/processes.ts';
import { archiveOf, contentKey, hasArchive, type ImageArchive, saveArchive } from './archive.ts';
import { type Builder, withBuilder } from './builder.ts';
import { debianImage } from './debian-image.ts';

const root = new URL('../../..', import.meta.url).pathname;
const here = new URL('.', import.meta.url).pathname;

export interface PeerImages {
  readonly clients: ImageArchive;
  readonly outside: ImageArchive;
  readonly redis: ImageArchive;
}

export type Peer = keyof PeerImages;
const peers: readonly Peer[] = ['clients', 'outside', 'redis'];

export async function buildPeerImages(say: (line: string) => void): Promise<PeerImages> {
  const wanted: PeerImages = {
    clients: await peerArchive('clients'),
    outside: await peerArchive('outside'),
    redis: await peerArchive('redis'),
  };
  const missing: Peer[] = [];
  for (const peer of peers) if (!(await hasArchive(wanted[peer]))) missing.push(peer);
  if (missing.length === 0) return wanted;
  await withBuilder(say, async builder => {
    for (const peer of missing) if (!(await hasArchive(wanted[peer]))) await buildPeer(builder, peer, wanted[peer]);
  });
  return wanted;
}

export async function peerArchive(peer: Peer): Promise<ImageArchive> {
  const ours = [`test/cluster/image/${peer}/**/*.*`, `test/cluster/image/${peer}/Dockerfile`];
  const theirs = peer === 'clients' ? ['package-lock.json'] : [];
  return archiveOf(peer, await contentKey([...ours, ...theirs, 'test/cluster/image/debian-image.ts']));
}

async function buildPeer(builder: Builder, peer: Peer, wanted: ImageArchive): Promise<void> {
  const base = await debianImage(builder);
  const folder = join(builder.scratch, peer);
  await cp(join(here, peer), folder, { recursive: true });
  if (peer === 'clients') await addClients(folder, builder.say);
  const name = wanted.name.replace('docker.io/library', 'localhost');
  await builder.build({ name, folder, args: ['--build-arg', `BASE=${base}`] });
  await saveArchive(builder, name, wanted);
}

async function addClients(folder: string, say: (line: string) => void): Promise<void> {
  await cp(await realpath(join(root, 'node_modules/node/bin/node')), join(folder, 'node'));
  await cp(join(root, 'node_modules/nodemailer'), join(folder, 'nodemailer'), { recursive: true });
  const go = await findGo({ cacheFolder: cacheRoot(), say });
  await mustRun(go, ['build', '-trimpath', '-buildvcs=false', '-ldflags', '-s -w', '-o', join(folder, 'go-client')], {
    cwd: join(folder, 'go'),
    env: { CGO_ENABLED: '0', GOFLAGS: '', GOWORK: 'off' },
    timeoutMs: 5 * 60_000,
  });
}
