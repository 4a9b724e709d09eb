/**
 * helm and kubeconform, built from their Go modules, once, into a cache.
 * The modules and every one below them are pinned by the go.mod and go.sum beside this file; the cache is named by their content.
 */
import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { exists } from '../../apiserver/setup/exists.ts';
import { findGo } from '../../apiserver/setup/go.ts';
import { cacheRoot } from '../../apiserver/setup/programs.ts';
import { mustRun } from '../../support/processes.ts';

export interface ChartPrograms {
  readonly helm: string;
  readonly kubeconform: string;
}

interface Build {
  readonly program: keyof ChartPrograms;
  readonly package: string;
  /** Where the program keeps its own version. */
  readonly versionVariable: string;
}

const builds: readonly Build[] = [
  {
    program: 'helm',
    package: 'helm.sh/helm/v4/cmd/helm',
    versionVariable: 'helm.sh/helm/v4/internal/version.version',
  },
  { program: 'kubeconform', package: 'github.com/yannh/kubeconform/cmd/kubeconform', versionVariable: 'main.version' },
];

const here = new URL('.', import.meta.url).pathname;
const buildLimitMs = 30 * 60_000;

/** Undefined: not built yet. For a test, which must not build for minutes: `npm test` and setup/main.ts do. */
export async function findChartPrograms(): Promise<ChartPrograms | undefined> {
  const folder = await cachedFolder();
  const there = await Promise.all(builds.map(({ program }) => exists(join(folder, program))));
  return there.every(Boolean) ? programsIn(folder) : undefined;
}

export async function setUpChartPrograms(say: (line: string) => void): Promise<ChartPrograms> {
  const found = await findChartPrograms();
  if (found !== undefined) return found;
  const folder = await cachedFolder();
  const go = await findGo({ cacheFolder: cacheRoot(), say });
  // Of two that build at once the first to finish wins; neither ever sees half of it.
  const building = `${folder}.${process.pid}`;
  await mkdir(building, { recursive: true });
  try {
    for (const build of builds) await runBuild(go, building, build, say);
    await rename(building, folder).catch(async (error: unknown) => {
      if (!(await exists(folder))) throw error;
    });
  } finally {
    await rm(building, { recursive: true, force: true });
  }
  return programsIn(folder);
}

async function runBuild(go: string, folder: string, build: Build, say: (line: string) => void): Promise<void> {
  const { program, versionVariable } = build;
  say(`set-up: building ${program} from its Go module (minutes, once)`);
  const startedMs = performance.now();
  const version = `-X ${versionVariable}=${await versionOf(build)}`;
  const flags = ['-mod=readonly', '-trimpath', '-buildvcs=false', '-ldflags', `-s -w ${version}`];
  await mustRun('nice', [go, 'build', ...flags, '-o', join(folder, program), build.package], {
    cwd: join(here, program),
    env: { CGO_ENABLED: '0', GOFLAGS: '', GOWORK: 'off' },
    timeoutMs: buildLimitMs,
  });
  say(`set-up: built ${program} in ${((performance.now() - startedMs) / 1000).toFixed(0)} s`);
}

/** Of the module that the package is in. */
async function versionOf({ program, package: name }: Build): Promise<string> {
  const text = await readFile(join(here, program, 'go.mod'), 'utf8');
  const module = name.replace(/\/cmd\/.*$/, '');
  const version = text
    .split('\n')
    .map(line =>
      line
        .trim()
        .replace(/^require /, '')
        .split(' '),
    )
    .find(([path]) => path === module)?.[1];
  if (version === undefined) throw new Error(`no version of ${module} in ${program}/go.mod`);
  return version;
}

async function cachedFolder(): Promise<string> {
  const hash = createHash('sha256');
  const versions: string[] = [];
  for (const build of builds) {
    versions.push(`${build.program}-${await versionOf(build)}`);
    for (const file of ['go.mod', 'go.sum']) hash.update(await readFile(join(here, build.program, file)));
  }
  return join(cacheRoot(), [...versions, hash.digest('hex').slice(0, 8)].join('-'));
}

function programsIn(folder: string): ChartPrograms {
  return { helm: join(folder, 'helm'), kubeconform: join(folder, 'kubeconform') };
}
