/**
 * Where a relay's time goes: CPU profiles (`--profile FOLDER`) summed up by room. A sample counts for the innermost frame of the
 * relay's own source on its stack, so that what a room asks of Node or of a package is the room's. Idle time is left out, and so is
 * the start, up to the first sample in a room of `mailRooms`.
 *
 *   node test/bench/relay/profile.ts FOLDER
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

interface ProfileNode {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  readonly children?: readonly number[];
}

interface Profile {
  readonly nodes: readonly ProfileNode[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

interface Place {
  readonly room: string;
  /** Our function that it is for. */
  readonly owner: string;
  /** The function that ran. */
  readonly self: string;
}

const functionsShown = 45;
/** Not those of the start: the store's thread has no other. */
const mailRooms = new Set(['deliver', 'queue/sqlite']);
const restingFunctions = new Set(['(idle)', '(root)']);

async function summarize(file: string): Promise<void> {
  const profile = JSON.parse(await readFile(file, 'utf8')) as Profile;
  const places = placesOf(profile);
  const rooms = new Map<string, number>();
  const owners = new Map<string, number>();
  const selves = new Map<string, number>();
  let totalUs = 0;
  let mailFlows = false;
  for (const [at, sample] of profile.samples.entries()) {
    const place = places.get(sample);
    const us = profile.timeDeltas[at] ?? 0;
    mailFlows ||= mailRooms.has(place?.room ?? '');
    if (!mailFlows || place === undefined || restingFunctions.has(place.self)) continue;
    totalUs += us;
    add(rooms, place.room, us);
    add(owners, place.owner, us);
    add(selves, place.self, us);
  }
  say(`\n# ${file}: ${(totalUs / 1e6).toFixed(2)} s busy`);
  show('by room', rooms, totalUs);
  show('by our function, with what it calls', owners, totalUs);
  show('by function itself', selves, totalUs);
}

function placesOf({ nodes }: Profile): Map<number, Place> {
  const byId = new Map(nodes.map(node => [node.id, node]));
  const places = new Map<number, Place>();
  const root = nodes[0];
  if (root === undefined) return places;
  const open: { readonly node: ProfileNode; readonly above: Place }[] = [
    { node: root, above: { room: '(node)', owner: '(node)', self: '' } },
  ];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const place = placeOf(next.node, next.above);
    places.set(next.node.id, place);
    for (const id of next.node.children ?? []) {
      const child = byId.get(id);
      if (child !== undefined) open.push({ node: child, above: place });
    }
  }
  return places;
}

function placeOf({ callFrame: { functionName, url, lineNumber } }: ProfileNode, above: Place): Place {
  const own = /\/relay\/(?:([a-z-]+)\/)?(?:[a-z-]+\/)?([a-z-]+)\.[jt]s$/.exec(url);
  const name = functionName === '' ? '(anonymous)' : functionName;
  const self = `${name} ${shortUrl(url)}${url === '' ? '' : `:${lineNumber + 1}`}`.trim();
  // Native code outside any function: reading from sockets, polling, threads.
  if (name === '(program)') return { room: '(reads, polls)', owner: name, self: name };
  if (name === '(garbage collector)') return { room: '(garbage collector)', owner: name, self: name };
  if (own !== null) return { room: roomOf(url, own[1]), owner: self, self };
  // Packages that run their own code between ours: what the library calls back is the library's until ours begins.
  const library = /\/node_modules\/([^/]+)\//.exec(url)?.[1];
  if (library !== undefined && above.room === '(node)') return { room: library, owner: self, self };
  if (above.room === '(node)' && url.startsWith('node:')) return { room: '(node)', owner: self, self };
  return { ...above, self };
}

function roomOf(url: string, room: string | undefined): string {
  return url.includes('/queue/sqlite/') ? 'queue/sqlite' : (room ?? 'relay');
}

function shortUrl(url: string): string {
  return url.replace(/^file:\/\/.*\/(relay|node_modules)\//, '$1/');
}

function add(sums: Map<string, number>, key: string, us: number): void {
  sums.set(key, (sums.get(key) ?? 0) + us);
}

function show(title: string, sums: ReadonlyMap<string, number>, totalUs: number): void {
  say(`\n${title}`);
  const sorted = [...sums].sort(([, a], [, b]) => b - a).slice(0, functionsShown);
  for (const [name, us] of sorted) say(`${((us / totalUs) * 100).toFixed(1).padStart(6)} %  ${name}`);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

const folder = process.argv[2];
if (folder === undefined) throw new Error('which folder of .cpuprofile files?');
for (const name of (await readdir(folder)).filter(file => file.endsWith('.cpuprofile')).sort()) {
  await summarize(join(folder, name));
}
