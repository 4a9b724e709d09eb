/** The real kubectl against a test's API server, as its administrator. */
import { findApiServerPrograms } from '../apiserver/setup/programs.ts';
import type { TestApiServer } from './apiserver.ts';
import { type RunResult, runProcess } from './processes.ts';

const root = new URL('../../', import.meta.url).pathname;

export interface Kubectl {
  run(args: readonly string[], input?: string): Promise<RunResult>;
  /** What it prints. @throws Error when it fails. */
  must(args: readonly string[], input?: string): Promise<string>;
}

/** Its working folder is the repository's; what it keeps of discovery is in `cacheFolder`. */
export async function kubectlOf(
  { kubeconfigFile }: Pick<TestApiServer, 'kubeconfigFile'>,
  cacheFolder: string,
  timeoutMs = 30_000,
): Promise<Kubectl> {
  const programs = await findApiServerPrograms();
  if (programs === undefined) throw new Error('kubectl is not built: node test/apiserver/setup/main.ts');
  const { kubectl } = programs;
  async function run(args: readonly string[], input?: string): Promise<RunResult> {
    return await runProcess(kubectl, ['--kubeconfig', kubeconfigFile, '--cache-dir', cacheFolder, ...args], {
      ...{ cwd: root, timeoutMs },
      // Whoever runs the tests may have chosen another diff.
      env: { KUBECTL_EXTERNAL_DIFF: 'diff -u -N', KUBERC: 'off' },
      ...(input !== undefined && { input }),
    });
  }
  return {
    run,
    async must(args, input) {
      const { code, stdout, stderr } = await run(args, input);
      if (code !== 0) throw new Error(`kubectl ${args.join(' ')} ended with ${code}\n${stdout}\n${stderr}`);
      return stdout;
    },
  };
}
