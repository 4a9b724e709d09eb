/** A v1 Secret of a manifest. Its values are never repeated in a fault. */
import { type Fault, isRecord, join, unknownFields } from '../../crds/validate.ts';
import { validateMetadata } from '../../crds/validate-object.ts';
import type { SecretData } from '../credentials.ts';

export interface ReadSecret {
  readonly faults: readonly Fault[];
  /** `namespace/name`. */
  readonly name: string;
  readonly data: SecretData;
}

const fields = ['apiVersion', 'kind', 'metadata', 'type', 'immutable', 'data', 'stringData'];
/** Keys become file names: the API server's rule, without the names that mean folders. */
const keyPattern = /^(?!\.\.?$)(?!\.\.)[-._a-zA-Z0-9]{1,253}$/;
const base64Pattern = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

export function readSecret(value: Record<string, unknown>): ReadSecret {
  const metadata = validateMetadata(value['metadata']);
  const data = new Map<string, Buffer>();
  const faults = [
    ...unknownFields(Object.keys(value), fields, ''),
    ...metadata.faults,
    ...readEntries('data', value['data'], decodeBase64, data),
    // As on the API server, stringData wins.
    ...readEntries('stringData', value['stringData'], text => Buffer.from(text), data),
  ];
  return { faults, name: `${metadata.value.namespace}/${metadata.value.name}`, data };
}

function readEntries(
  field: string,
  entries: unknown,
  decode: (text: string) => Buffer | undefined,
  into: Map<string, Buffer>,
): Fault[] {
  if (entries === undefined || entries === null) return [];
  if (!isRecord(entries)) return [{ path: field, message: 'must be an object' }];
  return Object.entries(entries).flatMap(([key, text]) => {
    const path = join(field, key.slice(0, 80));
    if (!keyPattern.test(key))
      return [{ path, message: 'must be named by letters, digits, dots, hyphens and underscores, at most 253' }];
    if (typeof text !== 'string') return [{ path, message: 'must be a string: put it in quotes' }];
    const bytes = decode(text);
    if (bytes === undefined) return [{ path, message: 'must be base64; plain text goes under stringData' }];
    into.set(key, bytes);
    return [];
  });
}

function decodeBase64(text: string): Buffer | undefined {
  const packed = text.replaceAll(/[\r\n]/g, '');
  return base64Pattern.test(packed) ? Buffer.from(packed, 'base64') : undefined;
}
