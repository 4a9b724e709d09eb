/** What every Kubernetes object has, and where the API server keeps objects of a kind. */

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
  readonly blockOwnerDeletion?: boolean;
}

export interface ManagedFields {
  readonly manager?: string;
  readonly operation?: string;
  readonly subresource?: string;
  readonly fieldsV1?: FieldSet;
}

/** Kubernetes' FieldsV1: `f:name`, `k:{keys}` or `v:value` to what is below it; nothing below: owned as a whole. */
export interface FieldSet {
  readonly [path: string]: FieldSet;
}

export interface ObjectMeta {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly ownerReferences?: readonly OwnerReference[];
  readonly finalizers?: readonly string[];
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly managedFields?: readonly ManagedFields[];
}

export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ObjectMeta;
}

/** A kind, as its place in the API. */
export interface Resource {
  readonly apiVersion: string;
  readonly kind: string;
  readonly plural: string;
  readonly isNamespaced: boolean;
}

export interface ObjectName {
  readonly namespace?: string | undefined;
  readonly name: string;
}

/** The key of an object within its kind: `namespace/name`, or the name alone for what has no namespace. */
export function keyOf({ namespace, name }: ObjectName): string {
  return namespace === undefined ? name : `${namespace}/${name}`;
}

export function nameOf(key: string): ObjectName {
  const slash = key.indexOf('/');
  return slash < 0 ? { name: key } : { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}

interface Place {
  readonly namespace?: string | undefined;
  readonly name?: string | undefined;
  readonly subresource?: string | undefined;
}

/** The path of one object, or, without a name, of all of them (in a namespace, when one is given). */
export function pathOf(
  { apiVersion, plural, isNamespaced }: Resource,
  { namespace, name, subresource }: Place,
): string {
  const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  if (isNamespaced && name !== undefined && namespace === undefined) {
    throw new RangeError(`${plural} ${name}: an object of this kind has a namespace`);
  }
  const parts = [
    ...(isNamespaced && namespace !== undefined ? ['namespaces', segment(namespace)] : []),
    plural,
    ...(name === undefined ? [] : [segment(name)]),
    ...(subresource === undefined ? [] : [subresource]),
  ];
  return [root, ...parts].join('/');
}

/** Names come from users' objects too (a relayRef, a secretRef): one that is no path segment would address something else. */
function segment(name: string): string {
  if (name === '' || name === '.' || name === '..' || name.includes('/')) {
    throw new RangeError(`not the name of an object: ${JSON.stringify(name)}`);
  }
  return encodeURIComponent(name);
}
