/**
 * What ServiceMonitors and PodMonitors select, as files of targets that Prometheus reads. Not by prometheus-operator: its configuration is made of Kubernetes
 * discovery, which Debian's Prometheus is built without, and one of its own would take longer to build than all else here. Labels are those that such a
 * configuration gives.
 */
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { startProcess } from '../../support/processes.ts';
import { waitUntil } from '../../support/wait-until.ts';

interface Named {
  readonly name: string;
  readonly namespace: string;
  readonly labels?: Readonly<Record<string, string>>;
}

export interface Monitor {
  readonly kind: string;
  readonly metadata: Named;
  readonly spec: {
    readonly selector: { readonly matchLabels: Readonly<Record<string, string>> };
    readonly endpoints?: readonly Endpoint[];
    readonly podMetricsEndpoints?: readonly Endpoint[];
    readonly namespaceSelector?: { readonly matchNames?: readonly string[] };
  };
}

export interface Endpoint {
  readonly port: string;
  readonly path: string;
  readonly interval: string;
  readonly scrapeTimeout?: string;
}

interface Pod {
  readonly metadata: Named;
  readonly spec: {
    readonly containers: readonly {
      readonly name: string;
      readonly ports?: readonly { readonly name?: string; readonly containerPort: number }[];
    }[];
  };
  readonly status: { readonly phase: string; readonly podIP?: string };
}

interface Address {
  readonly ip: string;
  readonly targetRef?: { readonly kind: string; readonly name: string };
}

interface Endpoints {
  readonly metadata: Named;
  readonly subsets?: readonly {
    readonly addresses?: readonly Address[];
    readonly notReadyAddresses?: readonly Address[];
    readonly ports?: readonly { readonly name?: string; readonly port: number }[];
  }[];
}

interface Targets {
  readonly targets: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
}

const lookEveryMs = 500;
const requestLimitMs = 30_000;

export function endpointsOf({ spec }: Monitor): readonly Endpoint[] {
  return spec.endpoints ?? spec.podMetricsEndpoints ?? [];
}

/** The file of one endpoint of a monitor. */
export function targetsFile(folder: string, { kind, metadata }: Monitor, index: number): string {
  return join(folder, `${kind}-${metadata.namespace}-${metadata.name}-${index}.json`);
}

/** Keeps the files true until it is disposed of. Resolves when they are there. */
export async function startDiscovery(monitors: readonly Monitor[], folder: string): Promise<AsyncDisposable> {
  await using starting = new AsyncDisposableStack();
  let server = '';
  const proxy = startProcess('kubectl', ['proxy', '--port=0'], {
    onLine(line) {
      server = /127\.0\.0\.1:\d+/.exec(line)?.[0] ?? server;
    },
  });
  starting.defer(async () => void (await proxy.stop()));
  await waitUntil('kubectl proxy to serve', () => server !== '', { limitMs: 20_000 });
  const written = new Map<string, string>();
  const writeAll = async (): Promise<void> => {
    for (const monitor of monitors) {
      for (const [index, endpoint] of endpointsOf(monitor).entries()) {
        const found = await targetsOf(server, monitor, endpoint);
        const file = targetsFile(folder, monitor, index);
        const text = JSON.stringify(found);
        if (written.get(file) === text) continue;
        await writeFile(`${file}.new`, text);
        await rename(`${file}.new`, file);
        written.set(file, text);
      }
    }
  };
  await writeAll();
  const ending = new AbortController();
  const looking = (async () => {
    while (!ending.signal.aborted) {
      await writeAll();
      // It rejects when the looking ends, and so does the loop.
      await delay(lookEveryMs, undefined, { signal: ending.signal }).catch(() => undefined);
    }
  })();
  // Told of by whoever disposes of it.
  looking.catch(() => undefined);
  starting.defer(async () => {
    ending.abort();
    await looking;
  });
  const parts = starting.move();
  return { [Symbol.asyncDispose]: () => parts.disposeAsync() };
}

async function targetsOf(server: string, monitor: Monitor, endpoint: Endpoint): Promise<readonly Targets[]> {
  const { selector, namespaceSelector } = monitor.spec;
  const namespaces = namespaceSelector?.matchNames ?? [monitor.metadata.namespace];
  const isPods = monitor.kind === 'PodMonitor';
  const all: Targets[] = [];
  for (const namespace of namespaces) {
    const labels = Object.entries(selector.matchLabels).map(([name, value]) => `${name}=${value}`);
    const query = new URLSearchParams({ labelSelector: labels.join() });
    const url = `http://${server}/api/v1/namespaces/${namespace}/${isPods ? 'pods' : 'endpoints'}?${query}`;
    const answer = await fetch(url, { signal: AbortSignal.timeout(requestLimitMs) });
    if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
    const { items } = (await answer.json()) as { readonly items: readonly unknown[] };
    const found = isPods
      ? (items as Pod[]).flatMap(pod => ofPod(pod, endpoint, monitor.metadata))
      : (items as Endpoints[]).flatMap(each => ofService(each, endpoint));
    all.push(...found);
  }
  return all;
}

function ofPod({ metadata, spec, status }: Pod, { port }: Endpoint, monitor: Named): readonly Targets[] {
  const { podIP, phase } = status;
  if (podIP === undefined || phase === 'Failed' || phase === 'Succeeded') return [];
  return spec.containers.flatMap(({ name: container, ports = [] }) =>
    ports
      .filter(({ name }) => name === port)
      .map(({ containerPort }) => ({
        targets: [`${podIP}:${containerPort}`],
        labels: {
          ...{ namespace: metadata.namespace, pod: metadata.name, container, endpoint: port },
          job: `${monitor.namespace}/${monitor.name}`,
        },
      })),
  );
}

function ofService({ metadata, subsets = [] }: Endpoints, { port }: Endpoint): readonly Targets[] {
  const { namespace, name } = metadata;
  return subsets.flatMap(({ addresses = [], notReadyAddresses = [], ports = [] }) =>
    ports
      .filter(each => each.name === port)
      .flatMap(({ port: number }) =>
        [...addresses, ...notReadyAddresses].map(({ ip, targetRef }) => ({
          targets: [`${ip}:${number}`],
          labels: {
            ...{ namespace, service: name, job: name, endpoint: port },
            ...(targetRef?.kind === 'Pod' && { pod: targetRef.name }),
          },
        })),
      ),
  );
}
