/**
 * Programs built from their Go modules, once, into a cache. The modules and every one below them are pinned by a go.mod and go.sum of
 * ours for each; the cache is named by their content.
 */
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { exists } from '../apiserver/setup/exists.ts';
import { findGo } from '../apiserver/setup/go.ts';
import { mustRun } from '../support/processes.ts';

export interface GoBuild<Name extends string = string> {
  readonly program: Name;
  /** With the go.mod that pins it. */
  readonly moduleFolder: string;
  readonly package: string;
  /** The module that is pinned there and holds the package; none: the package is in the folder itself. */
  readonly module?: string;
  /** By its version: `-X` of the linker, where the program keeps its own version. */
  readonly variables?: (version: string) => Readonly<Record<string, string>>;
}

/** Built together, and kept in one folder. */
export type GoPrograms<Name extends string> = readonly GoBuild<Name>[];

const buildLimitMs = 30 * 60_000;
const sayEveryMs = 30_000;

export function cacheRoot(): string {
  return join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'postroad');
}

/** Paths by name; undefined: not all are built yet. `given`: a folder that has them already. */
export async function findGoPrograms<Name extends string>(
  builds: GoPrograms<Name>,
  given?: string,
): Promise<Readonly<Record<Name, string>> | undefined> {
  const folder = given ?? (await cachedFolder(builds));
  const there = await Promise.all(builds.map(({ program }) => exists(join(folder, program))));
  return there.every(Boolean) ? programsIn(builds, folder) : undefined;
}

/** Builds what is not built yet. */
export async function setUpGoPrograms<Name extends string>(
  builds: GoPrograms<Name>,
  say: (line: string) => void,
): Promise<Readonly<Record<Name, string>>> {
  const found = await findGoPrograms(builds);
  if (found !== undefined) return found;
  const folder = await cachedFolder(builds);
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
  return programsIn(builds, folder);
}

async function runBuild(go: string, folder: string, build: GoBuild, say: (line: string) => void): Promise<void> {
  const { program, moduleFolder, package: name, variables } = build;
  say(`set-up: building ${program} from its Go module (minutes, once)`);
  const startedMs = performance.now();
  const values = Object.entries(variables?.(await versionOf(build)) ?? {});
  const linked = ['-s', '-w', ...values.map(([variable, value]) => `-X ${variable}=${value}`)].join(' ');
  const flags = ['-mod=readonly', '-trimpath', '-buildvcs=false', '-ldflags', linked];
  const seconds = (): string => ((performance.now() - startedMs) / 1000).toFixed(0);
  const progress = setInterval(() => say(`set-up: still building ${program}, ${seconds()} s`), sayEveryMs);
  try {
    await mustRun('nice', [go, 'build', ...flags, '-o', join(folder, program), name], {
      cwd: moduleFolder,
      env: { CGO_ENABLED: '0', GOFLAGS: '', GOWORK: 'off' },
      timeoutMs: buildLimitMs,
    });
  } finally {
    clearInterval(progress);
  }
  say(`set-up: built ${program} in ${seconds()} s`);
}

/** Of the module that the package is in. */
export async function versionOf({ moduleFolder, module }: Pick<GoBuild, 'moduleFolder' | 'module'>): Promise<string> {
  if (module === undefined) return 'own';
  const text = await readFile(join(moduleFolder, 'go.mod'), 'utf8');
  const line = text.split('\n').find(each => each.includes(`${module} v`) && !each.includes('=>'));
  const version = /v\d+\.\d+\.\d+/.exec(line ?? '')?.[0];
  if (version === undefined) throw new Error(`no version of ${module} in ${moduleFolder}/go.mod`);
  return version;
}

/** `kubernetes-v1.36.3-etcd-v3.7.2-` and a hash of all that is pinned. */
async function cachedFolder(builds: GoPrograms<string>): Promise<string> {
  const hash = createHash('sha256');
  const versions: string[] = [];
  for (const [folder, inIt] of Map.groupBy(builds, ({ moduleFolder }) => moduleFolder)) {
    for (const file of (await readdir(folder)).sort()) hash.update(await readFile(join(folder, file)));
    for (const [name, build] of new Map(inIt.map(each => [nameOf(each.module ?? each.program), each]))) {
      versions.push(`${name}-${await versionOf(build)}`);
    }
  }
  for (const { program } of builds) hash.update(program);
  return join(cacheRoot(), [...versions, hash.digest('hex').slice(0, 8)].join('-'));
}

/** `go.etcd.io/etcd/server/v3`: etcd; `github.com/coredns/coredns`: coredns. */
function nameOf(module: string): string {
  const [host, first, second] = module.split('/');
  return (host === 'github.com' ? second : first) ?? module;
}

function programsIn<Name extends string>(builds: GoPrograms<Name>, folder: string): Readonly<Record<Name, string>> {
  return Object.fromEntries(builds.map(({ program }) => [program, join(folder, program)])) as Record<Name, string>;
}
