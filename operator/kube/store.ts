import { type KubeObject, keyOf } from './object.ts';

/** The objects of one kind as last seen. Reading it never waits; before the first list it is empty. */
export interface ObjectStore<T extends KubeObject> {
  readonly size: number;
  /** By `namespace/name`. */
  get(key: string): T | undefined;
  values(): IterableIterator<T>;
  keys(): IterableIterator<string>;
}

/** Finds objects by something that they say, as policies by the relay they name. */
export interface ObjectIndex<T extends KubeObject> {
  get(value: string): readonly T[];
}

/** The reflector's side of the store. */
export class MutableStore<T extends KubeObject> implements ObjectStore<T> {
  readonly #objects = new Map<string, T>();
  readonly #indexes: Index<T>[] = [];

  get size(): number {
    return this.#objects.size;
  }

  get(key: string): T | undefined {
    return this.#objects.get(key);
  }

  values(): IterableIterator<T> {
    return this.#objects.values();
  }

  keys(): IterableIterator<string> {
    return this.#objects.keys();
  }

  /** Returns what was there before. */
  set(object: T): T | undefined {
    const key = keyOf(object.metadata);
    const previous = this.#objects.get(key);
    this.#objects.set(key, object);
    for (const index of this.#indexes) index.replace(key, previous, object);
    return previous;
  }

  delete(key: string): T | undefined {
    const previous = this.#objects.get(key);
    if (previous === undefined) return undefined;
    this.#objects.delete(key);
    for (const index of this.#indexes) index.replace(key, previous, undefined);
    return previous;
  }

  addIndex(valuesOf: (object: T) => readonly string[]): ObjectIndex<T> {
    const index = new Index<T>(valuesOf);
    for (const [key, object] of this.#objects) index.replace(key, undefined, object);
    this.#indexes.push(index);
    return index;
  }
}

class Index<T extends KubeObject> implements ObjectIndex<T> {
  readonly #valuesOf: (object: T) => readonly string[];
  readonly #found = new Map<string, Map<string, T>>();

  constructor(valuesOf: (object: T) => readonly string[]) {
    this.#valuesOf = valuesOf;
  }

  get(value: string): readonly T[] {
    return [...(this.#found.get(value)?.values() ?? [])];
  }

  replace(key: string, previous: T | undefined, next: T | undefined): void {
    for (const value of previous === undefined ? [] : this.#valuesOf(previous)) this.#remove(value, key);
    for (const value of next === undefined ? [] : this.#valuesOf(next)) {
      const found = this.#found.get(value);
      if (next === undefined) continue;
      if (found === undefined) this.#found.set(value, new Map([[key, next]]));
      else found.set(key, next);
    }
  }

  #remove(value: string, key: string): void {
    const found = this.#found.get(value);
    found?.delete(key);
    // Values come from users' objects; those nobody says any more must not stay.
    if (found?.size === 0) this.#found.delete(value);
  }
}
