/** containerd, in the run's cgroup: its shims are there with it, and end with it when the node is booted anew. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { mustRun, runProcess } from '../../support/processes.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { imageNames } from '../setup/images.ts';
import type { NodePrograms } from '../setup/programs.ts';
import { membershipFiles } from './cgroups.ts';
import { type RunningComponent, startComponent } from './component.ts';
import type { RunPaths } from './layout.ts';

export async function startContainerd(programs: NodePrograms, paths: RunPaths): Promise<RunningComponent> {
  await mkdir(paths.containerd, { recursive: true });
  const file = join(paths.containerd, 'config.toml');
  await writeFile(file, configuration(paths));
  const containerd = await startComponent(paths.logs, {
    name: 'containerd',
    command: programs.containerd,
    args: ['--config', file],
    // It finds its shim there.
    env: { PATH: `${programs.containerdFolder}:/usr/sbin:/usr/bin:/sbin:/bin` },
    memberships: await membershipFiles(paths.id),
  });
  await waitUntil(
    'containerd to answer',
    async () => {
      await containerd.check();
      const { code } = await runProcess(programs.ctr, ['--address', paths.containerdSocket, 'version']);
      return code === 0;
    },
    { limitMs: 60_000, everyMs: 100 },
  );
  return containerd;
}

export async function importImages(
  programs: NodePrograms,
  paths: RunPaths,
  archives: readonly string[],
): Promise<void> {
  const ctr = [programs.ctr, '--address', paths.containerdSocket, '--namespace', 'k8s.io'];
  for (const archive of archives) {
    await mustRun('nice', ['-n', '0', ...ctr, 'images', 'import', archive], { timeoutMs: 180_000 });
  }
}

function configuration({ containerd, containerdSocket, cni }: RunPaths): string {
  const text = (value: string): string => JSON.stringify(value);
  return `version = 3
root = ${text(join(containerd, 'root'))}
state = ${text(join(containerd, 'state'))}
disabled_plugins = ["io.containerd.nri.v1.nri"]

[grpc]
  address = ${text(containerdSocket)}

[plugins."io.containerd.internal.v1.opt"]
  path = ${text(join(containerd, 'opt'))}

[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = ${text(imageNames.pause)}

[plugins."io.containerd.cri.v1.runtime"]
  # Without CAP_SYS_RESOURCE, as in many a container, no process may be spared more than its parent is.
  restrict_oom_score_adj = true

[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["/usr/lib/cni"]
  conf_dir = ${text(cni)}

[plugins."io.containerd.cri.v1.runtime".containerd]
  default_runtime_name = "runc"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
  SystemdCgroup = false
  BinaryName = "/usr/sbin/runc"
`;
}
