/** etcd, kube-apiserver, kube-controller-manager and kubectl: those of KUBEBUILDER_ASSETS, else built from their Go modules. */
import { join } from 'node:path';
import { findGoPrograms, type GoBuild, setUpGoPrograms } from '../../setup/go-programs.ts';

export interface ApiServerPrograms {
  readonly etcd: string;
  readonly kubeApiserver: string;
  readonly kubeControllerManager: string;
  readonly kubectl: string;
}

const here = new URL('.', import.meta.url).pathname;

/** Of Kubernetes' own module. Without its version a server calls itself v0.0.0-master, and Helm's kubeVersion checks refuse it. */
export function kubernetesProgram<Name extends string>(program: Name): GoBuild<Name> {
  return {
    program,
    moduleFolder: join(here, 'kubernetes'),
    module: 'k8s.io/kubernetes',
    package: `k8s.io/kubernetes/cmd/${program}`,
    variables(version) {
      const [, major = '', minor = ''] = /^v(\d+)\.(\d+)/.exec(version) ?? [];
      const values = { gitVersion: version, gitMajor: major, gitMinor: minor };
      return Object.fromEntries(
        Object.entries(values).map(([name, value]) => [`k8s.io/component-base/version.${name}`, value]),
      );
    },
  };
}

const module = 'go.etcd.io/etcd/server/v3';
const builds = [
  { program: 'etcd' as const, moduleFolder: join(here, 'etcd'), module, package: module },
  kubernetesProgram('kube-apiserver'),
  kubernetesProgram('kube-controller-manager'),
  kubernetesProgram('kubectl'),
];

/** Undefined: not built yet. For a test, which must not build for minutes: `npm test` and setup/main.ts do. */
export async function findApiServerPrograms(): Promise<ApiServerPrograms | undefined> {
  const found = await findGoPrograms(builds, process.env['KUBEBUILDER_ASSETS']);
  return found === undefined ? undefined : named(found);
}

export async function setUpApiServerPrograms(say: (line: string) => void): Promise<ApiServerPrograms> {
  const found = await findApiServerPrograms();
  if (found !== undefined) return found;
  const given = process.env['KUBEBUILDER_ASSETS'];
  if (given !== undefined) {
    throw new Error(`KUBEBUILDER_ASSETS (${given}) lacks one of ${builds.map(({ program }) => program).join(', ')}`);
  }
  return named(await setUpGoPrograms(builds, say));
}

function named(paths: Readonly<Record<(typeof builds)[number]['program'], string>>): ApiServerPrograms {
  return {
    etcd: paths.etcd,
    kubeApiserver: paths['kube-apiserver'],
    kubeControllerManager: paths['kube-controller-manager'],
    kubectl: paths.kubectl,
  };
}
