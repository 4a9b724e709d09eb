/** Volumes for the claims of relays: each gets a PersistentVolume made for it, which the controller manager binds; a claim that grows gets its room. */
import { isConflict } from '../../../operator/kube/errors.ts';
import { type KubeObject, pathOf, type Resource } from '../../../operator/kube/object.ts';
import { createReflector, type Reflector, type ReflectorOptions } from '../../../operator/kube/reflector.ts';
import { persist } from './api.ts';

const claimKind: Resource = {
  ...{ apiVersion: 'v1', kind: 'PersistentVolumeClaim', plural: 'persistentvolumeclaims' },
  isNamespaced: true,
};
const volumeKind: Resource = {
  ...{ apiVersion: 'v1', kind: 'PersistentVolume', plural: 'persistentvolumes' },
  isNamespaced: false,
};

interface Claim extends KubeObject {
  readonly spec: {
    readonly storageClassName?: string;
    readonly accessModes: readonly string[];
    readonly resources: { readonly requests: { readonly storage: string } };
    readonly volumeName?: string;
  };
  readonly status?: { readonly phase?: string; readonly capacity?: { readonly storage?: string } };
}

type Watch = Omit<ReflectorOptions<Claim>, 'resource'>;

export function standInClaims(watch: Watch): Pick<Reflector<Claim>, 'run' | 'whenSynced'> {
  const { client } = watch;
  const claims = createReflector<Claim>({ ...watch, resource: claimKind });
  const faults: unknown[] = [];
  let working: Promise<unknown> = Promise.resolve();
  const over = new AbortController();

  function then(work: () => Promise<void>): void {
    working = working.then(work).catch((error: unknown) => {
      if (!over.signal.aborted) faults.push(error);
    });
  }

  async function makeVolume({ metadata, spec }: Claim): Promise<void> {
    const name = `stand-in-${metadata.uid}`;
    const { accessModes, storageClassName = '', resources } = spec;
    const claimRef = { kind: 'PersistentVolumeClaim', namespace: metadata.namespace, name: metadata.name };
    const body = {
      apiVersion: 'v1',
      kind: 'PersistentVolume',
      metadata: { name },
      spec: {
        ...{ accessModes, storageClassName, capacity: resources.requests, persistentVolumeReclaimPolicy: 'Retain' },
        claimRef: { ...claimRef, uid: metadata.uid },
        hostPath: { path: `/nowhere/${name}` },
      },
    };
    await persist(client, { method: 'POST', path: pathOf(volumeKind, {}), body, signal: over.signal }).catch(
      (error: unknown) => {
        if (!isConflict(error)) throw error;
      },
    );
  }

  async function grow({ metadata: { namespace, name }, spec }: Claim): Promise<void> {
    const body = { status: { capacity: spec.resources.requests } };
    const path = pathOf(claimKind, { namespace, name, subresource: 'status' });
    const contentType = 'application/merge-patch+json';
    await persist(client, { method: 'PATCH', path, body, contentType, signal: over.signal });
  }

  async function removeVolume(uid: string | undefined): Promise<void> {
    const path = pathOf(volumeKind, { name: `stand-in-${uid}` });
    await persist(client, { method: 'DELETE', path, signal: over.signal });
  }

  claims.onChange(({ type, object }) => {
    const { spec, status, metadata } = object;
    if (type === 'deleted') then(() => removeVolume(metadata.uid));
    else if (spec.volumeName === undefined && type === 'added') then(() => makeVolume(object));
    else if (status?.phase === 'Bound' && status.capacity?.storage !== spec.resources.requests.storage) {
      then(() => grow(object));
    }
  });

  return {
    whenSynced: signal => claims.whenSynced(signal),
    async run(signal) {
      await claims.run(signal);
      over.abort();
      await working;
      if (faults.length > 0) throw faults[0];
    },
  };
}
