/** A folder of YAML as a cluster: what `kubectl apply -f` would take, read whole, with every fault named by file, object and path. */
import { constants } from 'node:fs';
import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Document, isScalar, LineCounter, parseAllDocuments, visit } from 'yaml';
import { group } from '../../crds/common.ts';
import { isRecord } from '../../crds/validate.ts';
import { type PostroadObject, validateObject } from '../../crds/validate-object.ts';
import type { SecretData } from '../credentials.ts';
import { readSecret } from './secret.ts';

export interface Manifests {
  readonly objects: readonly PostroadObject[];
  /** By `namespace/name`. */
  readonly secrets: ReadonlyMap<string, SecretData>;
  /** Each a line for people: `file: object: path: what would be right`. */
  readonly faults: readonly string[];
  /** What was left aside, and why. */
  readonly warnings: readonly string[];
}

const mostFiles = 1000;
const mostFileBytes = 1024 * 1024;
const mostDocuments = 10_000;
/** Nobody reads more at once, and a file can have one a byte. */
const mostFaults = 200;
const mostFaultsOfDocument = 20;

/** @param previous finds the object before a change, for rules about what may change. */
export async function readManifests(
  folder: string,
  previous: (object: PostroadObject['kind'], name: string) => PostroadObject | undefined = () => undefined,
): Promise<Manifests> {
  const reading = new Reading(previous);
  const names = (await readdir(folder)).filter(name => /^[^.].*\.ya?ml$/.test(name)).sort();
  if (names.length === 0) reading.faults.push(`${folder}: must hold at least one file that ends in .yaml or .yml`);
  if (names.length > mostFiles)
    reading.faults.push(`${folder}: must hold at most ${mostFiles} files, not ${names.length}`);
  for (const name of names.slice(0, mostFiles)) {
    await readOne(reading, folder, name);
    if (reading.documents > mostDocuments) break;
  }
  const left = reading.faults.splice(mostFaults).length;
  if (left > 0) reading.faults.push(`and ${left} more faults`);
  return reading;
}

async function readOne(reading: Reading, folder: string, name: string): Promise<void> {
  try {
    // Opening a pipe would wait for its writer.
    await using file = await open(join(folder, name), constants.O_RDONLY | constants.O_NONBLOCK);
    const info = await file.stat();
    if (!info.isFile()) reading.faults.push(`${name}: must be a file`);
    else if (info.size > mostFileBytes)
      reading.faults.push(`${name}: must have at most ${mostFileBytes} bytes, not ${info.size}`);
    else reading.add(name, new TextDecoder('utf-8', { fatal: true }).decode(await file.readFile()));
  } catch (error) {
    // Whatever a file does to the decoder or the parser, it is the file's fault, and the others are still read.
    reading.faults.push(`${name}: cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}

class Reading implements Manifests {
  readonly objects: PostroadObject[] = [];
  readonly secrets = new Map<string, SecretData>();
  readonly faults: string[] = [];
  readonly warnings: string[] = [];
  documents = 0;
  /** File by kind, namespace and name. */
  readonly #places = new Map<string, string>();
  readonly #previous: (kind: PostroadObject['kind'], name: string) => PostroadObject | undefined;

  constructor(previous: (kind: PostroadObject['kind'], name: string) => PostroadObject | undefined) {
    this.#previous = previous;
  }

  add(file: string, text: string): void {
    const lines = new LineCounter();
    // The parser's own ways to find keys given twice and to make errors pretty cost the square of their number.
    const options = { uniqueKeys: false, prettyErrors: false, strict: true, lineCounter: lines };
    const documents = parseAllDocuments(text, options);
    // An empty file is no list of documents but a marker with none in it.
    for (const document of [...documents]) {
      this.documents += 1;
      if (this.documents > mostDocuments) {
        this.faults.unshift(`${file}: the folder must hold at most ${mostDocuments} objects`);
        return;
      }
      const faults = yamlFaults(document, lines);
      if (faults.length === 0) this.#addDocument(file, document);
      this.faults.push(...faults.map(fault => `${file}: ${fault}`));
    }
  }

  #addDocument(file: string, document: Document.Parsed): void {
    // Aliases are counted, so that a few lines cannot unfold into gigabytes.
    const value: unknown = document.toJS({ maxAliasCount: 100 });
    if (value !== null) this.#addObject(file, value);
  }

  #addObject(file: string, value: unknown): void {
    if (!isRecord(value)) {
      this.faults.push(`${file}: must hold objects with apiVersion, kind and metadata`);
      return;
    }
    const { apiVersion, kind } = value;
    const title = `${file}: ${titleOf(value)}`;
    if (apiVersion === 'v1' && kind === 'Secret') this.#addSecret(title, file, value);
    else if (typeof apiVersion !== 'string' || typeof kind !== 'string' || isOurs(apiVersion, kind))
      this.#addOurs(title, file, value);
    // A folder for `kubectl apply` also holds namespaces and workloads. They change nothing here, and refusing them would split it.
    else this.warnings.push(`${title} is left aside: only MailRelay, DomainPolicy and Secret are read here`);
  }

  #addOurs(title: string, file: string, value: Record<string, unknown>): void {
    const { faults, object } = validateObject(value, this.#before(value));
    this.faults.push(...faults.map(({ path, message }) => `${title}: ${path === '' ? '' : `${path} `}${message}`));
    if (object === undefined) return;
    const { namespace, name } = object.metadata;
    if (this.#claimPlace(title, file, `${object.kind} ${namespace}/${name}`)) this.objects.push(object);
  }

  #before({ kind, metadata }: Record<string, unknown>): PostroadObject | undefined {
    if ((kind !== 'MailRelay' && kind !== 'DomainPolicy') || !isRecord(metadata)) return undefined;
    return this.#previous(kind, `${String(metadata['namespace'] ?? 'default')}/${String(metadata['name'])}`);
  }

  #addSecret(title: string, file: string, value: Record<string, unknown>): void {
    const { faults, name, data } = readSecret(value);
    this.faults.push(...faults.map(({ path, message }) => `${title}: ${path} ${message}`));
    if (faults.length === 0 && this.#claimPlace(title, file, `Secret ${name}`)) this.secrets.set(name, data);
  }

  #claimPlace(title: string, file: string, identity: string): boolean {
    const other = this.#places.get(identity);
    if (other !== undefined) this.faults.push(`${title}: must be there once, and is in ${other} too`);
    this.#places.set(identity, file);
    return other === undefined;
  }
}

function yamlFaults(document: Document.Parsed, lines: LineCounter): string[] {
  const errors = document.errors.map(({ message, pos: [at] }) => ({ message, at }));
  return [...errors, ...repeatedKeys(document)].slice(0, mostFaultsOfDocument).map(({ message, at }) => {
    const { line, col } = lines.linePos(at);
    return `${message} at line ${line}, column ${col}`;
  });
}

/** YAML 1.2.2 s3.2.1.1: keys are unique. Of two, which one counts would be chance. */
function repeatedKeys(document: Document.Parsed): { readonly message: string; readonly at: number }[] {
  const found: { message: string; at: number }[] = [];
  visit(document, {
    Map(_, { items }) {
      const seen = new Set<unknown>();
      for (const { key } of items) {
        const name = isScalar(key) ? String(key.value) : key;
        if (seen.has(name))
          found.push({ message: 'Map keys must be unique', at: isScalar(key) ? (key.range?.[0] ?? 0) : 0 });
        seen.add(name);
      }
    },
  });
  return found;
}

function isOurs(apiVersion: string, kind: string): boolean {
  return apiVersion.startsWith(`${group}/`) || kind === 'MailRelay' || kind === 'DomainPolicy';
}

function titleOf({ kind, metadata }: Record<string, unknown>): string {
  const { namespace, name } = isRecord(metadata) ? metadata : {};
  const place = typeof namespace === 'string' ? `${namespace}/` : '';
  return `${typeof kind === 'string' ? kind : 'object'} ${place}${typeof name === 'string' ? name : '(no name)'}`.slice(
    0,
    200,
  );
}
