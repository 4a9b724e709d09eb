/**
 * A pod from its binding to its end, as kubelet leads it:
 *
 *   bound ─► waits for its files ─► runs (ready or not; files refreshed when its annotations change, and now and then) ─► stopped, which
 *   its status says, with its last word ─► deleted
 */

import type { KubeClient } from '../../../operator/kube/client.ts';
import { isConflict } from '../../../operator/kube/errors.ts';
import { pathOf } from '../../../operator/kube/object.ts';
import { type Pod, persist, podKind } from './api.ts';
import { type PodFiles, readPodFiles } from './files.ts';
import type { End, Workload } from './workload.ts';

const missingFilesMs = 300;
const mergePatch = 'application/merge-patch+json';

export interface NodeParts {
  readonly client: KubeClient;
  readonly node: string;
  /** Files that were changed without a word are seen after this at the latest. */
  readonly refreshMs: number;
  /** Between a change of files and the pod's seeing it. */
  readonly lagMs: () => number;
}

export class PodLife {
  readonly key: string;
  readonly uid: string;
  readonly address: string;
  readonly workload: Workload;
  readonly done: Promise<void>;
  refreshes = 0;
  readonly #parts: NodeParts;
  readonly #over = new AbortController();
  #pod: Pod;
  #wake = Promise.withResolvers<void>();
  #refreshAtMs = Number.POSITIVE_INFINITY;
  #isHeld = false;

  constructor(parts: NodeParts, pod: Pod, address: string, createWorkload: (onChange: () => void) => Workload) {
    const { namespace, name, uid = '' } = pod.metadata;
    this.key = `${namespace}/${name}`;
    this.uid = uid;
    this.address = address;
    this.#parts = parts;
    this.#pod = pod;
    this.workload = createWorkload(() => this.#wake.resolve());
    this.done = this.#live().catch((error: unknown) => {
      if (!this.#over.signal.aborted) throw error;
    });
  }

  /** What the watch shows. */
  changed(pod: Pod): void {
    const isNudged = JSON.stringify(pod.metadata.annotations) !== JSON.stringify(this.#pod.metadata.annotations);
    this.#pod = pod;
    if (isNudged) this.#refreshAtMs = Math.min(this.#refreshAtMs, performance.now() + this.#parts.lagMs());
    this.#wake.resolve();
  }

  /** Its files stay as they are until release(). */
  hold(): void {
    this.#isHeld = true;
  }

  release(): void {
    this.#isHeld = false;
    this.#wake.resolve();
  }

  /** The pod is no more, or its node is not: nothing in order. */
  async abandon(): Promise<void> {
    this.#over.abort();
    this.#wake.resolve();
    await this.workload.kill();
    await this.done;
    // It may just have been starting.
    await this.workload.kill();
  }

  get #isLeaving(): boolean {
    return this.#pod.metadata.deletionTimestamp !== undefined;
  }

  async #live(): Promise<void> {
    await this.#bind();
    const files = await this.#firstFiles();
    if (files !== undefined) await this.#run(files);
    const graceMs = (this.#pod.spec.terminationGracePeriodSeconds ?? 30) * 1000;
    const end = await this.workload.stop(graceMs);
    if (end !== undefined) await this.#tellEnd(end);
    await this.#remove();
  }

  async #bind(): Promise<void> {
    const { metadata, spec } = this.#pod;
    if (spec.nodeName !== undefined) return;
    const target = { apiVersion: 'v1', kind: 'Node', name: this.#parts.node };
    const body = { apiVersion: 'v1', kind: 'Binding', metadata: { name: metadata.name, uid: this.uid }, target };
    try {
      await this.#request('POST', 'binding', body);
    } catch (error) {
      // The answer to the first attempt was lost, or the pod is on its way out.
      if (!isConflict(error)) throw error;
    }
  }

  async #firstFiles(): Promise<PodFiles | undefined> {
    while (!this.#isLeaving) {
      // Before they are read: what is written meanwhile, and nudged to, is read again.
      this.#scheduleRefresh();
      const files = await readPodFiles(this.#parts.client, this.#pod, this.#over.signal);
      if (files !== undefined) return files;
      await this.#sleep(missingFilesMs);
    }
    return undefined;
  }

  async #run(files: PodFiles): Promise<void> {
    await this.workload.start(files);
    let told = '';
    while (!this.#isLeaving && !this.#over.signal.aborted) {
      const state = { isReady: await this.workload.isReady(), restarts: this.workload.restarts };
      if (JSON.stringify(state) !== told) {
        await this.#tell(state);
        told = JSON.stringify(state);
      }
      if (!this.#isHeld && performance.now() >= this.#refreshAtMs) await this.#refresh();
      else await this.#sleep(this.#pauseMs());
    }
  }

  #pauseMs(): number {
    const refreshMs = this.#isHeld ? Number.POSITIVE_INFINITY : this.#refreshAtMs - performance.now();
    return Math.max(1, Math.min(refreshMs, this.workload.pollMs ?? Number.POSITIVE_INFINITY));
  }

  async #refresh(): Promise<void> {
    this.#scheduleRefresh();
    const files = await readPodFiles(this.#parts.client, this.#pod, this.#over.signal);
    // kubelet too leaves what it shows when an object has gone.
    if (files !== undefined) await this.workload.refresh(files);
    this.refreshes += 1;
  }

  #scheduleRefresh(): void {
    this.#refreshAtMs = performance.now() + this.#parts.refreshMs;
  }

  async #tell({ isReady, restarts }: { readonly isReady: boolean; readonly restarts: number }): Promise<void> {
    const now = seconds();
    const condition = (type: string, status: boolean): object => ({
      type,
      status: status ? 'True' : 'False',
      lastTransitionTime: now,
    });
    const status = {
      phase: 'Running',
      podIP: this.address,
      podIPs: [{ ip: this.address }],
      startTime: now,
      conditions: [
        condition('PodScheduled', true),
        condition('Initialized', true),
        condition('ContainersReady', isReady),
        condition('Ready', isReady),
      ],
      containerStatuses: [
        {
          ...{ ...this.#container, ready: isReady, started: true, restartCount: restarts },
          state: { running: { startedAt: now } },
        },
      ],
    };
    await this.#setStatus(status);
  }

  /** In a pod that goes, no container is started again. */
  async #tellEnd({ exitCode, message }: End): Promise<void> {
    const terminated = { exitCode, message, reason: exitCode === 0 ? 'Completed' : 'Error', finishedAt: seconds() };
    const { restarts } = this.workload;
    await this.#setStatus({
      phase: exitCode === 0 ? 'Succeeded' : 'Failed',
      containerStatuses: [
        { ...this.#container, ready: false, started: false, restartCount: restarts, state: { terminated } },
      ],
    });
  }

  get #container(): object {
    const [container] = this.#pod.spec.containers;
    return { name: container?.name, image: container?.image, imageID: container?.image };
  }

  async #setStatus(status: object): Promise<void> {
    await this.#request('PATCH', 'status', { metadata: { uid: this.uid }, status }).catch((error: unknown) => {
      // Another pod has its name by now; the watch will say so.
      if (!isConflict(error)) throw error;
    });
  }

  async #remove(): Promise<void> {
    const body = { gracePeriodSeconds: 0, preconditions: { uid: this.uid } };
    await this.#request('DELETE', undefined, body).catch((error: unknown) => {
      if (!isConflict(error)) throw error;
    });
  }

  async #request(method: 'POST' | 'PATCH' | 'DELETE', subresource: string | undefined, body: object): Promise<void> {
    const { namespace, name } = this.#pod.metadata;
    await persist(this.#parts.client, {
      ...{ method, body, signal: this.#over.signal },
      path: pathOf(podKind, { namespace, name, subresource }),
      ...(method === 'PATCH' && { contentType: mergePatch }),
    });
  }

  /** Until it is woken, or for so long. */
  async #sleep(ms: number): Promise<void> {
    const timer = Number.isFinite(ms) ? setTimeout(() => this.#wake.resolve(), ms) : undefined;
    await this.#wake.promise;
    clearTimeout(timer);
    this.#wake = Promise.withResolvers<void>();
    this.#over.signal.throwIfAborted();
  }
}

/** As Kubernetes writes times. */
function seconds(): string {
  return new Date().toISOString().replace(/\.\d+Z$/, 'Z');
}
