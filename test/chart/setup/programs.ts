/** helm and kubeconform, built from their Go modules. */
import { join } from 'node:path';
import { findGoPrograms, setUpGoPrograms } from '../../setup/go-programs.ts';

export interface ChartPrograms {
  readonly helm: string;
  readonly kubeconform: string;
}

const here = new URL('.', import.meta.url).pathname;

const builds = [
  {
    program: 'helm' as const,
    moduleFolder: join(here, 'helm'),
    module: 'helm.sh/helm/v4',
    package: 'helm.sh/helm/v4/cmd/helm',
    variables: (version: string) => ({ 'helm.sh/helm/v4/internal/version.version': version }),
  },
  {
    program: 'kubeconform' as const,
    moduleFolder: join(here, 'kubeconform'),
    module: 'github.com/yannh/kubeconform',
    package: 'github.com/yannh/kubeconform/cmd/kubeconform',
    variables: (version: string) => ({ 'main.version': version }),
  },
];

/** Undefined: not built yet. For a test, which must not build for minutes: `npm test` and setup/main.ts do. */
export async function findChartPrograms(): Promise<ChartPrograms | undefined> {
  return await findGoPrograms(builds);
}

export async function setUpChartPrograms(say: (line: string) => void): Promise<ChartPrograms> {
  return await setUpGoPrograms(builds, say);
}
