/** Requests of the stand-in: like kubelet's they are repeated until they succeed, so that tests may take the API server away. */
import { setTimeout as delay } from 'node:timers/promises';
import type { KubeClient, Request } from '../../../operator/kube/client.ts';
import { ApiError, isNotFound } from '../../../operator/kube/errors.ts';
import type { KubeObject, Resource } from '../../../operator/kube/object.ts';

const againMs = 200;

export interface Pod extends KubeObject {
  readonly spec: {
    readonly nodeName?: string;
    readonly terminationGracePeriodSeconds?: number;
    readonly containers: readonly Container[];
    readonly volumes?: readonly Volume[];
  };
}

export interface Container {
  readonly name: string;
  readonly image: string;
  readonly args?: readonly string[];
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string }[];
}

export interface Volume {
  readonly name: string;
  readonly projected?: { readonly sources: readonly ProjectedSource[] };
  readonly persistentVolumeClaim?: { readonly claimName: string };
}

export interface ProjectedSource {
  readonly configMap?: Projection;
  readonly secret?: Projection;
}

interface Projection {
  readonly name: string;
  readonly items?: readonly { readonly key: string; readonly path: string }[];
}

export const podKind: Resource = { apiVersion: 'v1', kind: 'Pod', plural: 'pods', isNamespaced: true };
export const podSelector = 'app.kubernetes.io/name=postroad,app.kubernetes.io/component=relay';

/** Undefined: the object is not there. @throws ApiError: refused for a reason that repeating would not mend. */
export async function persist<T>(client: KubeClient, request: Request): Promise<T | undefined> {
  for (;;) {
    try {
      return await client.request<T>(request);
    } catch (error) {
      request.signal.throwIfAborted();
      if (isNotFound(error)) return undefined;
      if (error instanceof ApiError && error.status < 500 && error.status !== 429) throw error;
      await delay(againMs, undefined, { signal: request.signal });
    }
  }
}
