/** One kind as seen in the whole cluster, or in some namespaces: then one reflector each, and together they look like one. */
import type { MetricLabels, MetricSink } from '../kube/metrics.ts';
import { type KubeObject, keyOf, nameOf } from '../kube/object.ts';
import { type Change, createReflector, type Reflector, type ReflectorOptions } from '../kube/reflector.ts';
import type { ObjectIndex } from '../kube/store.ts';

export interface View<T extends KubeObject> {
  readonly kind: string;
  readonly size: number;
  get(key: string): T | undefined;
  values(): Iterable<T>;
  readonly isSynced: boolean;
  /** Whether the cluster knows the kind. */
  readonly isKnown: boolean;
  whenSynced(signal: AbortSignal): Promise<void>;
  /** Before run(). */
  onChange(handler: (change: Change<T>) => void): void;
  addIndex(valuesOf: (object: T) => readonly string[]): ObjectIndex<T>;
  /** @throws ApiError, ConnectionError */
  reread(known: T, signal: AbortSignal): Promise<void>;
  /** Resolves when the signal is aborted. */
  run(signal: AbortSignal): Promise<void>;
}

export type ViewOptions<T extends KubeObject> = Omit<ReflectorOptions<T>, 'namespace'> & {
  /** Undefined: everywhere. */
  readonly namespaces: readonly string[] | undefined;
};

export function createView<T extends KubeObject>({ namespaces, ...options }: ViewOptions<T>): View<T> {
  const { kind } = options.resource;
  if (namespaces === undefined) return viewOf(kind, new Map([['', createReflector<T>(options)]]), () => '');
  const metrics = summed(options.metrics);
  const reflectors = namespaces.map(namespace => {
    const reflector = createReflector<T>({ ...options, namespace, metrics: metrics(namespace) });
    return [namespace, reflector] as const;
  });
  return viewOf(kind, new Map(reflectors), key => nameOf(key).namespace ?? '');
}

function viewOf<T extends KubeObject>(
  kind: string,
  reflectors: ReadonlyMap<string, Reflector<T>>,
  placeOf: (key: string) => string,
): View<T> {
  const all = [...reflectors.values()];
  return {
    kind,
    get size() {
      return all.reduce((sum, { store }) => sum + store.size, 0);
    },
    get: key => reflectors.get(placeOf(key))?.store.get(key),
    *values() {
      for (const { store } of all) yield* store.values();
    },
    get isSynced() {
      return all.every(({ isSynced }) => isSynced);
    },
    get isKnown() {
      return all.some(({ isKnown }) => isKnown);
    },
    async whenSynced(signal) {
      await Promise.all(all.map(reflector => reflector.whenSynced(signal)));
    },
    onChange(handler) {
      for (const reflector of all) reflector.onChange(handler);
    },
    addIndex(valuesOf) {
      const indexes = all.map(reflector => reflector.addIndex(valuesOf));
      const [only] = indexes;
      if (indexes.length === 1 && only !== undefined) return { get: value => only.get(value) };
      return { get: value => indexes.flatMap(index => index.get(value)) };
    },
    async reread(known, signal) {
      await reflectors.get(placeOf(keyOf(known.metadata)))?.reread(known, signal);
    },
    async run(signal) {
      await Promise.all(all.map(reflector => reflector.run(signal)));
    },
  };
}

/** Each reflector tells of its namespace; the figures are of the kind: objects together, and how old the oldest is. */
function summed(metrics: MetricSink): (place: string) => MetricSink {
  const objects = new Map<string, number>();
  const times = new Map<string, number>();
  return place => {
    const set = (name: Parameters<MetricSink['set']>[0], labels: MetricLabels, value: number): void => {
      if (name === 'postroad_operator_cached_objects') {
        objects.set(place, value);
        metrics.set(
          name,
          labels,
          [...objects.values()].reduce((sum, count) => sum + count, 0),
        );
      } else if (name === 'postroad_operator_cache_fresh_timestamp_seconds') {
        times.set(place, value);
        metrics.set(name, labels, Math.min(...times.values()));
      } else metrics.set(name, labels, value);
    };
    return { add: (...told) => metrics.add(...told), observe: (...told) => metrics.observe(...told), set };
  };
}
