/** The structural schema and its rules as the API server applies them, for where there is none. Finds all faults at once. */

import { nearName } from './near-name.ts';
import type { ListNode, MapNode, Node, ObjectNode, Rule, StringNode } from './schema.ts';

export interface Fault {
  /** As `spec.listeners[0].port`. */
  readonly path: string;
  /** What would be right. */
  readonly message: string;
}

export interface Validation {
  readonly faults: readonly Fault[];
  /** With defaults filled in; means nothing where there are faults. */
  readonly value: unknown;
}

/** `previous` is the object before a change, itself valid; without it transition rules are not asked. */
export function validateNode(node: Node, path: string, value: unknown, previous?: unknown): Validation {
  const checked = checkType(node, path, value, previous);
  if (checked.faults.length > 0) return checked;
  return { value: checked.value, faults: ruleFaults(node.rules, path, checked.value, previous) };
}

export function ruleFaults(rules: readonly Rule<never>[], path: string, value: unknown, previous: unknown): Fault[] {
  return rules
    .filter(({ rule }) => previous !== undefined || !rule.includes('oldSelf'))
    .filter(({ check }) => !check(value as never, previous as never))
    .map(({ fieldPath, message }) => ({ path: `${path}${fieldPath ?? ''}`, message }));
}

function checkType(node: Node, path: string, value: unknown, previous: unknown): Validation {
  switch (node.kind) {
    case 'string':
      return { value, faults: messages(path, stringFault(node, value)) };
    case 'integer': {
      const right = typeof value === 'number' && Number.isInteger(value);
      const inRange = right && value >= node.minimum && value <= node.maximum;
      const bounds = `must be an integer from ${node.minimum} to ${node.maximum}, not ${show(value)}`;
      return { value, faults: messages(path, inRange ? undefined : bounds) };
    }
    case 'quantity': {
      const right =
        (typeof value === 'number' && Number.isInteger(value)) ||
        (typeof value === 'string' && new RegExp(node.pattern.regex, 'u').test(value));
      return { value, faults: messages(path, right ? undefined : `must be ${node.pattern.means}, not ${show(value)}`) };
    }
    case 'list':
      return checkList(node, path, value, previous);
    case 'map':
      return checkMap(node, path, value);
    case 'object':
      return checkObject(node, path, value, previous);
  }
}

function messages(path: string, message: string | undefined): Fault[] {
  return message === undefined ? [] : [{ path, message }];
}

function stringFault(node: StringNode, value: unknown): string | undefined {
  if (node.values !== undefined) return enumFault(node.values, value);
  if (typeof value !== 'string') return `must be a string, not ${show(value)}`;
  // The API server counts characters, not UTF-16 units.
  const length = [...value].length;
  if (length < node.minLength) return 'must not be empty';
  if (length > node.maxLength) return `must have at most ${node.maxLength} characters, not ${length}`;
  if (node.pattern !== undefined && !new RegExp(node.pattern.regex, 'u').test(value))
    return `must be ${node.pattern.means}, not ${show(value)}`;
  return undefined;
}

function enumFault(values: readonly string[], value: unknown): string | undefined {
  if (typeof value === 'string' && values.includes(value)) return undefined;
  const near = typeof value === 'string' ? nearName(value, values) : undefined;
  const hint = near === undefined ? '' : ` (did you mean ${near}?)`;
  return `must be ${values.join(' or ')}, not ${show(value)}${hint}`;
}

function checkList(node: ListNode, path: string, value: unknown, previous: unknown): Validation {
  if (!Array.isArray(value)) return { value, faults: messages(path, `must be a list, not ${show(value)}`) };
  if (value.length < node.minItems || value.length > node.maxItems)
    return {
      value,
      faults: messages(path, `must have ${node.minItems} to ${node.maxItems} items, not ${value.length}`),
    };
  const before = previousItems(node, previous);
  const items = value.map((item, index) =>
    validateNode(node.items, `${path}[${index}]`, item, before.get(identityOf(node, item))),
  );
  const faults = items.flatMap(item => item.faults);
  return { value: items.map(item => item.value), faults: [...faults, ...duplicateFaults(node, path, value)] };
}

/** Transition rules below a list see its earlier item of the same keys, as on the API server. */
function previousItems(node: ListNode, previous: unknown): ReadonlyMap<string, unknown> {
  if (node.listType !== 'map' || !Array.isArray(previous)) return new Map();
  return new Map(previous.map(item => [identityOf(node, item), item]));
}

function identityOf(node: ListNode, item: unknown): string {
  if (node.listType === 'set') return JSON.stringify(item) ?? '';
  return JSON.stringify(node.keys.map(key => (isRecord(item) ? item[key] : undefined)));
}

function duplicateFaults(node: ListNode, path: string, items: readonly unknown[]): Fault[] {
  if (node.listType === 'atomic') return [];
  const seen = new Set<string>();
  return items.flatMap((item, index) => {
    const identity = identityOf(node, item);
    if (!seen.has(identity)) {
      seen.add(identity);
      return [];
    }
    const what =
      node.listType === 'set' ? 'is in the list already' : `has the ${node.keys.join(', ')} of an item before`;
    return [{ path: `${path}[${index}]`, message: `must be unique: it ${what}` }];
  });
}

function checkMap(node: MapNode, path: string, value: unknown): Validation {
  if (!isRecord(value)) return { value, faults: messages(path, `must be an object, not ${show(value)}`) };
  const entries = Object.entries(value);
  const tooMany = entries.length > node.maxProperties ? `must have at most ${node.maxProperties} entries` : undefined;
  const checked = entries.map(([key, entry]) => [key, validateNode(node.values, join(path, key), entry)] as const);
  return {
    value: fromEntries(checked.map(([key, { value: entry }]) => [key, entry])),
    faults: [...messages(path, tooMany), ...checked.flatMap(([, { faults }]) => faults)],
  };
}

function checkObject(node: ObjectNode, path: string, value: unknown, previous: unknown): Validation {
  if (!isRecord(value)) return { value, faults: messages(path, `must be an object, not ${show(value)}`) };
  const faults: Fault[] = unknownFields(Object.keys(value), Object.keys(node.properties), path);
  const entries: [string, unknown][] = [];
  for (const [name, property] of Object.entries(node.properties)) {
    // The API server drops a null before it fills in defaults.
    const given = Object.hasOwn(value, name) && value[name] !== null ? value[name] : undefined;
    const effective = given ?? (property.presence === 'defaulted' ? property.default : undefined);
    if (effective === undefined) {
      if (property.presence === 'required') faults.push({ path: join(path, name), message: mustBeGiven(property) });
      continue;
    }
    const before = isRecord(previous) ? previous[name] : undefined;
    const checked = validateNode(property, join(path, name), effective, before);
    faults.push(...checked.faults);
    entries.push([name, checked.value]);
  }
  return { value: fromEntries(entries), faults };
}

function mustBeGiven(node: Node): string {
  if (node.kind === 'string' && node.values !== undefined) return `must be given: ${node.values.join(' or ')}`;
  if (node.kind === 'string' && node.pattern !== undefined) return `must be given: ${node.pattern.means}`;
  return `must be given: ${node.description}`;
}

export function unknownFields(given: readonly string[], known: readonly string[], path: string): Fault[] {
  return given
    .filter(name => !known.includes(name))
    .map(name => {
      const near = nearName(name, known);
      const right = near === undefined ? `the fields here are ${known.join(', ')}` : `did you mean ${near}?`;
      return { path: join(path, shorten(name)), message: `must not be given: there is no such field (${right})` };
    });
}

export function join(path: string, name: string): string {
  const step = /^[A-Za-z0-9_-]+$/.test(name) ? `.${name}` : `[${JSON.stringify(name)}]`;
  return path === '' ? step.replace(/^\./, '') : `${path}${step}`;
}

/** Own properties only, whatever their names: `__proto__` is a key like any other here. */
function fromEntries(entries: readonly (readonly [string, unknown])[]): Record<string, unknown> {
  return Object.fromEntries(entries);
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** These objects hold no secrets, so that what was written may be repeated. */
function show(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (isRecord(value)) return 'an object';
  return shorten(JSON.stringify(value) ?? String(value));
}

function shorten(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
