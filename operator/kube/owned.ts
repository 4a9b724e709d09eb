/**
 * Whether every field of a wanted object is still ours on the live one, by the server's own record (managedFields). Whoever else changes
 * a value takes its field from us, so values need not be compared, and what the server does to them (defaults, quantities, stringData)
 * does not look like a change.
 */
import type { FieldSet } from './object.ts';

export function ownsAll(owned: FieldSet, wanted: unknown): boolean {
  if (isEmpty(wanted) || isLeaf(owned)) return true;
  if (Array.isArray(wanted)) return wanted.every(element => ownsElement(owned, element));
  if (typeof wanted !== 'object' || wanted === null) return true;
  return Object.entries(wanted).every(([name, value]) => {
    const below = owned[`f:${name}`];
    return below === undefined ? isEmpty(value) : ownsAll(below, value);
  });
}

/** Nothing below it: owned as a whole (a scalar, an atomic list or map). */
function isLeaf(owned: FieldSet): boolean {
  for (const path in owned) if (path !== '.') return false;
  return true;
}

/** The server leaves these out of what it stores, or may. */
function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null) return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

/** An element of a list that merges: by its keys (`k:{"name":"smtp"}`), or, in a set, by its value (`v:"x"`). */
function ownsElement(owned: FieldSet, element: unknown): boolean {
  for (const [path, below] of Object.entries(owned)) {
    if (path.startsWith('k:') && hasKeys(element, JSON.parse(path.slice(2)))) return ownsAll(below, element);
    if (path.startsWith('v:') && JSON.parse(path.slice(2)) === element) return true;
  }
  return false;
}

/** A key that the element does not say is one the server filled in (a port's protocol). */
function hasKeys(element: unknown, keys: unknown): boolean {
  if (typeof element !== 'object' || element === null || typeof keys !== 'object' || keys === null) return false;
  const said = element as Readonly<Record<string, unknown>>;
  return Object.entries(keys).every(([name, value]) => said[name] === undefined || said[name] === value);
}
