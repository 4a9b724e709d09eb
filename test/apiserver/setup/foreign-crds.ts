/**
 * The CRDs of others that the operator makes objects for, from the Go modules that their projects publish them in: downloaded once, copied
 * into the cache. The sums are those of the modules' content, as go.sum has them.
 */
import { copyFile, mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheRoot } from '../../setup/go-programs.ts';
import { mustRun } from '../../support/processes.ts';
import { exists } from './exists.ts';
import { findGo } from './go.ts';

interface Source {
  readonly module: string;
  readonly version: string;
  readonly sum: string;
  /** Folder in the module, and the files of it that are wanted. */
  readonly folder: string;
  readonly files: readonly string[];
}

const sources: readonly Source[] = [
  {
    module: 'github.com/cert-manager/cert-manager',
    version: 'v1.19.1',
    sum: 'h1:Txh8L/nLWTDcb7ZnXuXbTe15BxQnLbLirXmbNk0fGgY=',
    folder: 'deploy/crds',
    files: ['cert-manager.io_certificates.yaml'],
  },
  {
    module: 'github.com/prometheus-operator/prometheus-operator',
    version: 'v0.85.0',
    sum: 'h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=',
    folder: 'example/prometheus-operator-crd',
    files: [
      'monitoring.coreos.com_podmonitors.yaml',
      'monitoring.coreos.com_prometheusrules.yaml',
      'monitoring.coreos.com_servicemonitors.yaml',
    ],
  },
  {
    module: 'sigs.k8s.io/external-dns',
    version: 'v0.20.0',
    sum: 'h1:rJ4Q5c32NStvI8J+u2nyM4bcKxZG4g1NLPL0p994U9M=',
    folder: 'config/crd/standard',
    files: ['dnsendpoints.externaldns.k8s.io.yaml'],
  },
];

const downloadLimitMs = 5 * 60_000;

/** Paths of the YAML files. @throws Error when set-up has not brought them. */
export async function foreignCrdFiles(): Promise<readonly string[]> {
  const folder = cachedFolder();
  if (!(await exists(folder))) throw new Error('the CRDs of others are not here: node test/apiserver/setup/main.ts');
  return sources.flatMap(({ files }) => files.map(file => join(folder, file)));
}

export async function hasForeignCrds(): Promise<boolean> {
  return await exists(cachedFolder());
}

export async function setUpForeignCrds(say: (line: string) => void): Promise<void> {
  if (await hasForeignCrds()) return;
  const folder = cachedFolder();
  say('set-up: fetching the CRDs of cert-manager, prometheus-operator and external-dns from their Go modules');
  const go = await findGo({ cacheFolder: cacheRoot(), say });
  const building = `${folder}.${process.pid}`;
  await mkdir(building, { recursive: true });
  try {
    for (const source of sources) await copyFrom(go, source, building);
    await rename(building, folder).catch(async (error: unknown) => {
      if (!(await exists(folder))) throw error;
    });
  } finally {
    await rm(building, { recursive: true, force: true });
  }
}

async function copyFrom(go: string, { module, version, sum, folder, files }: Source, to: string): Promise<void> {
  const args = ['mod', 'download', '-json', `${module}@${version}`];
  const answer = await mustRun(go, args, {
    cwd: '/',
    env: { GOFLAGS: '', GOWORK: 'off' },
    timeoutMs: downloadLimitMs,
  });
  const { Dir, Sum } = JSON.parse(answer) as { readonly Dir: string; readonly Sum: string };
  if (Sum !== sum) throw new Error(`${module}@${version} has the sum ${Sum} and should have ${sum}`);
  for (const file of files) {
    await copyFile(join(Dir, folder, file), join(to, file));
  }
}

function cachedFolder(): string {
  const names = sources.map(({ module, version }) => `${module.split('/').at(-1)}-${version}`);
  return join(cacheRoot(), `crds-${names.join('-')}`);
}
