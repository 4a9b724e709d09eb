/** The chart through the real helm. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import type { KubeObject } from '../../operator/kube/object.ts';
import { type RunResult, runProcess } from '../support/processes.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { findChartPrograms } from './setup/programs.ts';

export const chartFolder = new URL('../../charts/postroad', import.meta.url).pathname;

export type Values = Readonly<Record<string, unknown>>;

export interface HelmRun {
  readonly values?: Values;
  readonly kubeconfigFile?: string;
  readonly timeoutMs?: number;
}

/** Its files are in a folder of its own: nothing of whoever runs the tests is read or written. */
export async function helm(
  args: readonly string[],
  { values, kubeconfigFile, timeoutMs = 60_000 }: HelmRun = {},
): Promise<RunResult> {
  const programs = await findChartPrograms();
  if (programs === undefined) throw new Error('helm is not built: node test/chart/setup/main.ts');
  await using folder = await temporaryFolder();
  const valuesFile = join(folder.path, 'values.json');
  if (values !== undefined) await writeFile(valuesFile, JSON.stringify(values));
  const env = Object.fromEntries(
    ['CACHE', 'CONFIG', 'DATA'].map(kind => [`HELM_${kind}_HOME`, join(folder.path, kind.toLowerCase())]),
  );
  return await runProcess(programs.helm, [...args, ...(values === undefined ? [] : ['--values', valuesFile])], {
    env: { ...env, KUBECONFIG: kubeconfigFile ?? '/dev/null' },
    timeoutMs,
  });
}

export async function mustHelm(args: readonly string[], run: HelmRun = {}): Promise<string> {
  const { code, stdout, stderr } = await helm(args, run);
  if (code !== 0) throw new Error(`helm ${args.join(' ')} ended with ${code}\n${stdout}\n${stderr}`);
  return stdout;
}

export const release = 'mailer';
export const releaseNamespace = 'postroad-system';
export const fullname = 'mailer-postroad';

/** What helm would install, hooks included. */
export async function template(values: Values = {}, args: readonly string[] = []): Promise<readonly KubeObject[]> {
  const text = await mustHelm(['template', release, chartFolder, '--namespace', releaseNamespace, ...args], { values });
  return parseAllDocuments(text)
    .map(document => document.toJS() as KubeObject | null)
    .filter(object => object !== null);
}

/** @throws Error when there is not exactly one. */
export function only<T extends KubeObject>(objects: readonly KubeObject[], kind: string, name?: string): T {
  const found = objects.filter(object => object.kind === kind && (name === undefined || object.metadata.name === name));
  if (found.length !== 1) throw new Error(`${found.length} of ${kind} ${name ?? ''}`);
  return found[0] as T;
}
