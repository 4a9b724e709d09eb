/**
 * etcd, kube-apiserver, kube-controller-manager and kubectl: those of KUBEBUILDER_ASSETS, else built from their Go modules, once, into a cache.
 * The modules and every one below them are pinned by the go.mod and go.sum beside this file; the cache is named by their content.
 */
import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { mustRun } from '../../support/processes.ts';
import { exists } from './exists.ts';
import { findGo } from './go.ts';

export interface ApiServerPrograms {
  readonly etcd: string;
  readonly kubeApiserver: string;
  readonly kubeControllerManager: string;
  readonly kubectl: string;
}

interface Build {
  readonly program: string;
  readonly module: 'etcd' | 'kubernetes';
  readonly package: string;
}

const builds: readonly Build[] = [
  { program: 'etcd', module: 'etcd', package: 'go.etcd.io/etcd/server/v3' },
  { program: 'kube-apiserver', module: 'kubernetes', package: 'k8s.io/kubernetes/cmd/kube-apiserver' },
  {
    program: 'kube-controller-manager',
    module: 'kubernetes',
    package: 'k8s.io/kubernetes/cmd/kube-controller-manager',
  },
  { program: 'kubectl', module: 'kubernetes', package: 'k8s.io/kubernetes/cmd/kubectl' },
];

const here = new URL('.', import.meta.url).pathname;
const buildLimitMs = 30 * 60_000;
const sayEveryMs = 30_000;

/** Undefined: not built yet. For a test, which must not build for minutes: `npm test` and setup/main.ts do. */
export async function findApiServerPrograms(): Promise<ApiServerPrograms | undefined> {
  const folder = process.env['KUBEBUILDER_ASSETS'] ?? (await cachedFolder());
  const there = await Promise.all(builds.map(({ program }) => exists(join(folder, program))));
  return there.every(Boolean) ? programsIn(folder) : undefined;
}

export async function setUpApiServerPrograms(say: (line: string) => void): Promise<ApiServerPrograms> {
  const found = await findApiServerPrograms();
  if (found !== undefined) return found;
  const given = process.env['KUBEBUILDER_ASSETS'];
  if (given !== undefined) {
    throw new Error(`KUBEBUILDER_ASSETS (${given}) lacks one of ${builds.map(({ program }) => program).join(', ')}`);
  }
  const folder = await cachedFolder();
  const go = await findGo({ cacheFolder: cacheRoot(), say });
  // Of two that build at once the first to finish wins; neither ever sees half of it.
  const building = `${folder}.${process.pid}`;
  await mkdir(building, { recursive: true });
  try {
    for (const build of builds) await runBuild({ go, folder: building, build, say });
    await rename(building, folder).catch(async (error: unknown) => {
      if (!(await exists(folder))) throw error;
    });
  } finally {
    await rm(building, { recursive: true, force: true });
  }
  return programsIn(folder);
}

interface BuildRun {
  readonly go: string;
  readonly folder: string;
  readonly build: Build;
  readonly say: (line: string) => void;
}

async function runBuild({ go, folder, build: { program, module, package: name }, say }: BuildRun): Promise<void> {
  say(`set-up: building ${program} from its Go module (minutes, once)`);
  const startedMs = performance.now();
  const flags = ['-mod=readonly', '-trimpath', '-buildvcs=false', '-ldflags', `-s -w ${await versionFlags()}`];
  const seconds = (): string => ((performance.now() - startedMs) / 1000).toFixed(0);
  const progress = setInterval(() => say(`set-up: still building ${program}, ${seconds()} s`), sayEveryMs);
  try {
    await mustRun(go, ['build', ...flags, '-o', join(folder, program), name], {
      cwd: join(here, module),
      env: { CGO_ENABLED: '0', GOFLAGS: '', GOWORK: 'off' },
      timeoutMs: buildLimitMs,
    });
  } finally {
    clearInterval(progress);
  }
  say(`set-up: built ${program} in ${seconds()} s`);
}

/** Without these the server calls itself v0.0.0-master, and Helm's kubeVersion checks refuse it. */
async function versionFlags(): Promise<string> {
  const version = await versionOf('kubernetes', 'k8s.io/kubernetes');
  const [, major, minor] = /^v(\d+)\.(\d+)/.exec(version) ?? [];
  const values = { gitVersion: version, gitMajor: major, gitMinor: minor };
  return Object.entries(values)
    .map(([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`)
    .join(' ');
}

async function versionOf(module: Build['module'], path: string): Promise<string> {
  const text = await readFile(join(here, module, 'go.mod'), 'utf8');
  const line = text.split('\n').find(each => each.includes(`${path} v`) && !each.includes('=>'));
  const version = /v\d+\.\d+\.\d+/.exec(line ?? '')?.[0];
  if (version === undefined) throw new Error(`no version of ${path} in ${module}/go.mod`);
  return version;
}

async function cachedFolder(): Promise<string> {
  const hash = createHash('sha256');
  for (const module of ['etcd', 'kubernetes']) {
    for (const file of ['go.mod', 'go.sum']) hash.update(await readFile(join(here, module, file)));
  }
  const versions = [
    `kubernetes-${await versionOf('kubernetes', 'k8s.io/kubernetes')}`,
    `etcd-${await versionOf('etcd', 'go.etcd.io/etcd/server/v3')}`,
  ];
  return join(cacheRoot(), [...versions, hash.digest('hex').slice(0, 8)].join('-'));
}

export function cacheRoot(): string {
  return join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'postroad');
}

function programsIn(folder: string): ApiServerPrograms {
  return {
    etcd: join(folder, 'etcd'),
    kubeApiserver: join(folder, 'kube-apiserver'),
    kubeControllerManager: join(folder, 'kube-controller-manager'),
    kubectl: join(folder, 'kubectl'),
  };
}
