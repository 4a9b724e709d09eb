/**
 * A kubelet for the pods of Helm's hooks: each container's own command is run, as the pod's service account and with no more than a pod is
 * given, and the pod ends as its containers did. `/app/` of the image is this project.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pods } from '../../operator/cluster/kinds.ts';
import { listAll } from '../../operator/kube/list.ts';
import { type KubeObject, pathOf } from '../../operator/kube/object.ts';
import type { ApiWorld } from '../apiserver/api-world.ts';
import { serviceAccountConnection } from '../chart/service-account.ts';
import { runProcess } from '../support/processes.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

interface HookPod extends KubeObject {
  readonly spec: {
    readonly serviceAccountName: string;
    readonly containers: readonly {
      readonly name: string;
      readonly command: readonly string[];
      readonly args?: readonly string[];
      readonly env?: readonly { readonly name: string; readonly value: string }[];
    }[];
  };
  readonly status?: { readonly phase?: string };
}

export interface HookRunner extends AsyncDisposable {
  /** What the containers said, each line after the name of its container. */
  readonly output: readonly string[];
}

const root = new URL('../../', import.meta.url).pathname;

export function startHookRunner(world: ApiWorld, env: Readonly<Record<string, string>> = {}): HookRunner {
  const output: string[] = [];
  const stop = new AbortController();
  const done = new Set<string>();

  async function look(): Promise<void> {
    const everywhere = { namespace: undefined, fieldSelector: undefined, pageSize: 100, most: 100 };
    const labelSelector = 'app.kubernetes.io/name=postroad,app.kubernetes.io/component=hook';
    const { client } = world;
    const found = await listAll<HookPod>({ client, resource: pods, ...everywhere, labelSelector, signal: stop.signal });
    for (const pod of found) {
      const { uid = '' } = pod.metadata;
      if (done.has(uid) || pod.metadata.deletionTimestamp !== undefined) continue;
      done.add(uid);
      await run(pod);
    }
  }

  async function run(pod: HookPod): Promise<void> {
    await using folder = await temporaryFolder();
    const { namespace = '', name } = pod.metadata;
    const account = await serviceAccountConnection(world, { namespace, name: pod.spec.serviceAccountName });
    const accountFolder = join(folder.path, 'account');
    await mkdir(accountFolder);
    for (const [file, text] of Object.entries({ namespace, token: account.token, 'ca.crt': account.ca })) {
      await writeFile(join(accountFolder, file), text);
    }
    const { hostname, port } = new URL(world.server.url);
    const inPod = {
      KUBERNETES_SERVICE_HOST: hostname,
      KUBERNETES_SERVICE_PORT: port,
      SERVICE_ACCOUNT_FOLDER: accountFolder,
    };
    const codes: (number | null)[] = [];
    for (const container of pod.spec.containers) {
      const given = Object.fromEntries((container.env ?? []).map(variable => [variable.name, variable.value]));
      const [program, ...args] = [...container.command, ...(container.args ?? [])].map(word =>
        word.replace(/^\/app\//, root),
      );
      if (program !== 'node') throw new Error(`the image has no ${program}`);
      const { code, stdout, stderr } = await runProcess(process.execPath, args, {
        env: { ...given, ...inPod, ...env },
        timeoutMs: 60_000,
      });
      codes.push(code);
      output.push(
        ...`${stdout}\n${stderr}`
          .split('\n')
          .filter(Boolean)
          .map(line => `${container.name}: ${line}`),
      );
    }
    const phase = codes.every(code => code === 0) ? 'Succeeded' : 'Failed';
    await world.client.request({
      ...{
        method: 'PATCH',
        path: pathOf(pods, { namespace, name, subresource: 'status' }),
        body: { status: { phase } },
      },
      contentType: 'application/merge-patch+json',
      signal: stop.signal,
    });
  }

  const running = (async () => {
    while (!stop.signal.aborted) {
      await look();
      await delay(200);
    }
  })();
  // Whoever waits for it hears of it.
  running.catch(() => undefined);
  return {
    output,
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('stopped'));
      await running.catch((error: unknown) => {
        if (error !== stop.signal.reason) throw error;
      });
    },
  };
}
