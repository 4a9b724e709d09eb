/** The kinds that a test's API server should know: ours, and those of others. */
import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import type { KubeObject, Resource } from '../../operator/kube/object.ts';
import { waitUntil } from '../support/wait-until.ts';
import type { ApiWorld } from './api-world.ts';
import { foreignCrdFiles } from './setup/foreign-crds.ts';

const crds: Resource = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  plural: 'customresourcedefinitions',
  isNamespaced: false,
};

const root = new URL('../../', import.meta.url).pathname;
const ownFiles = ['mailrelays', 'domainpolicies'].map(plural => `${root}crds/${plural}.postroad.dev.yaml`);

/** Resolves when the server serves them. */
export async function installOwnCrds(world: ApiWorld): Promise<void> {
  await installAll(world, ownFiles);
}

export async function installForeignCrds(world: ApiWorld): Promise<void> {
  await installAll(world, await foreignCrdFiles());
}

async function installAll(world: ApiWorld, files: readonly string[]): Promise<void> {
  // The server takes up to a second over each before it serves it.
  await Promise.all(files.map(async file => await install(world, parse(await readFile(file, 'utf8')) as KubeObject)));
}

interface Established extends KubeObject {
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

async function install(world: ApiWorld, crd: KubeObject): Promise<void> {
  await world.create(crds, crd);
  await waitUntil(`CRD ${crd.metadata.name} is established`, async () => {
    const { status } = await world.get<Established>(crds, crd.metadata);
    return status?.conditions?.some(({ type, status: holds }) => type === 'Established' && holds === 'True');
  });
}
