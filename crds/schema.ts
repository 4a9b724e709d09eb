/**
 * How a field of the API is written down: once, with its documentation, bounds and default. From this one tree come the TypeScript type,
 * the OpenAPI schema of the CRD (open-api.ts), the check that works without a cluster (validate.ts) and the reference page (reference.ts).
 */

/** One rule across fields. The API server evaluates `rule`, standalone calls `check`: one table of objects (test/crds) holds both to the same verdict. */
export interface Rule<T> {
  /** CEL. A rule that names `oldSelf` is a transition rule: asked only when an object changes, never when it is made. */
  readonly rule: string;
  /** Completes "<path>: ", and says what would be right. */
  readonly message: string;
  /** The field below that the fault is about, as `.name`. */
  readonly fieldPath?: string;
  readonly check: (self: T, oldSelf: T) => boolean;
}

/** A regular expression in the syntax that RE2 and JavaScript share, and what it asks for in words. */
export interface Pattern {
  readonly regex: string;
  readonly means: string;
}

interface Common {
  readonly description: string;
  readonly presence: Presence;
  /** Set where presence is `defaulted`. */
  readonly default?: unknown;
  readonly rules: readonly Rule<never>[];
}

export type Presence = 'required' | 'optional' | 'defaulted';

export interface StringNode extends Common {
  readonly kind: 'string';
  readonly values?: readonly string[];
  readonly pattern?: Pattern;
  readonly minLength: number;
  readonly maxLength: number;
  readonly format?: 'date-time';
}

export interface IntegerNode extends Common {
  readonly kind: 'integer';
  readonly minimum: number;
  readonly maximum: number;
  readonly format: 'int32' | 'int64';
}

export interface QuantityNode extends Common {
  readonly kind: 'quantity';
  readonly pattern: Pattern;
  readonly maxLength: number;
}

export interface ListNode extends Common {
  readonly kind: 'list';
  readonly items: Node;
  readonly listType: 'atomic' | 'set' | 'map';
  readonly keys: readonly string[];
  readonly minItems: number;
  readonly maxItems: number;
}

export interface MapNode extends Common {
  readonly kind: 'map';
  readonly maxProperties: number;
  readonly values: Node;
}

export interface ObjectNode extends Common {
  readonly kind: 'object';
  readonly properties: Readonly<Record<string, Node>>;
  /** Replaced whole by server-side apply instead of merged field by field. */
  readonly atomic: boolean;
  readonly union?: Union;
}

/** `discriminator` names which one of `members` is given; values that are no member's stand alone. */
export interface Union {
  readonly discriminator: string;
  readonly members: Readonly<Record<string, string>>;
}

export type Node = StringNode | IntegerNode | QuantityNode | ListNode | MapNode | ObjectNode;

declare const carried: unique symbol;
/** A node that carries the type of its values; the symbol never exists at run time. */
export type Schema<T, P extends Presence = 'required'> = Node & { readonly presence: P; readonly [carried]?: T };
export type TypeOf<S> = S extends { readonly [carried]?: infer T } ? Exclude<T, undefined> : never;

type Properties = Readonly<Record<string, Node>>;
type OptionalNames<P extends Properties> = { [N in keyof P]: P[N]['presence'] extends 'optional' ? N : never }[keyof P];
/** The object after validation: defaulted fields are there. */
export type ObjectOf<P extends Properties> = {
  readonly [N in Exclude<keyof P, OptionalNames<P>>]: TypeOf<P[N]>;
} & { readonly [N in OptionalNames<P>]?: TypeOf<P[N]> };

interface StringOptions {
  readonly pattern?: Pattern;
  readonly minLength?: number;
  readonly maxLength: number;
  readonly format?: 'date-time';
  readonly rules?: readonly Rule<string>[];
}

const required = { presence: 'required', rules: [] } as const;

export function string(description: string, options: StringOptions): Schema<string> {
  return { ...required, kind: 'string', description, minLength: 1, ...options };
}

export function oneOf<const V extends readonly string[]>(description: string, values: V): Schema<V[number]> {
  const maxLength = Math.max(...values.map(value => value.length));
  return { ...required, kind: 'string', description, values, minLength: 1, maxLength };
}

export function integer(description: string, minimum: number, maximum: number): Schema<number> {
  const format = maximum > 2 ** 31 - 1 ? 'int64' : 'int32';
  return { ...required, kind: 'integer', description, minimum, maximum, format };
}

/** Kubernetes' own spelling of sizes, without fractions: `25Mi`, `10Gi`, or plain bytes. */
const quantityPattern: Pattern = {
  regex: '^[1-9][0-9]{0,14}(k|M|G|T|Ki|Mi|Gi|Ti)?$',
  means: 'a size such as 25Mi or 10Gi, without a fraction',
};

export function quantity(
  description: string,
  rules: readonly Rule<number | string>[],
  pattern: Pattern = quantityPattern,
): Schema<number | string> {
  return { ...required, kind: 'quantity', description, pattern, maxLength: 17, rules };
}

interface ListOptions<T> {
  readonly listType: 'atomic' | 'set' | 'map';
  readonly keys?: readonly string[];
  readonly minItems?: number;
  readonly maxItems: number;
  readonly rules?: readonly Rule<readonly T[]>[];
}

export function list<T>(description: string, items: Schema<T>, options: ListOptions<T>): Schema<readonly T[]> {
  return { ...required, kind: 'list', description, items, keys: [], minItems: 0, ...options };
}

interface MapOptions<T> {
  readonly maxProperties: number;
  readonly rules?: readonly Rule<Readonly<Record<string, T>>>[];
}

export function map<T>(
  description: string,
  values: Schema<T>,
  options: MapOptions<T>,
): Schema<Readonly<Record<string, T>>> {
  return { ...required, kind: 'map', description, values, ...options };
}

interface ObjectOptions<T> {
  readonly rules?: readonly Rule<T>[];
  readonly atomic?: boolean;
}

export function object<const P extends Properties>(
  description: string,
  properties: P,
  options: ObjectOptions<ObjectOf<P>> = {},
): Schema<ObjectOf<P>> {
  return { ...required, kind: 'object', description, properties, atomic: false, ...options };
}

interface UnionOptions<T> extends ObjectOptions<T> {
  readonly discriminator: string;
  /** Property by the discriminator's value that asks for it. */
  readonly members: Readonly<Record<string, string>>;
}

/** An object of which exactly the member that the discriminator names is given. Members hold no defaults: they would appear beside the wrong one. */
export function union<const P extends Properties>(
  description: string,
  properties: P,
  { discriminator, members, rules = [], atomic = false }: UnionOptions<ObjectOf<P>>,
): Schema<ObjectOf<P>> {
  const memberRules = Object.entries(members).map(([value, member]) => memberRule(discriminator, value, member));
  const all = [...memberRules, ...rules] as readonly Rule<never>[];
  return {
    ...required,
    kind: 'object',
    description,
    properties,
    atomic,
    rules: all,
    union: { discriminator, members },
  };
}

function memberRule(discriminator: string, value: string, member: string): Rule<Readonly<Record<string, unknown>>> {
  return {
    rule: `has(self.${member}) == (self.${discriminator} == '${value}')`,
    message: `${member} must be given where ${discriminator} is ${value}, and only there`,
    check: self => (self[member] !== undefined) === (self[discriminator] === value),
  };
}

export function optional<T>(schema: Schema<T>): Schema<T, 'optional'> {
  return { ...schema, presence: 'optional' };
}

/** `value` as a user would write it; its own defaults are filled in below it. */
export function defaulted<T>(schema: Schema<T>, value: unknown): Schema<T, 'defaulted'> {
  return { ...schema, presence: 'defaulted', default: value };
}
