/**
 * Keeps messages in a folder instead of sending them on: `<id>.eml` is the message, `<id>.json` says what the envelope said.
 * A message is there when its `.json` is; both are written whole or not at all, and survive power loss before they
 * count as delivered. The oldest make room (G7).
 */
import { type FileHandle, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import type { Claim } from '../queue/queue.ts';

export interface Captured {
  readonly id: string;
  /** Empty for the null reverse-path. */
  readonly reversePath: string;
  readonly forwardPaths: readonly string[];
  /** RFC 3339. */
  readonly receivedTime: string;
  /** Bytes. */
  readonly size: number;
}

export interface Capture {
  /** Resolves when durable. Repeating it for the same message adds recipients, never a second message. */
  store(claim: Claim): Promise<void>;
  /** Newest first. */
  list(): Promise<readonly Captured[]>;
  /** The raw message; undefined when there is none of that id. */
  read(id: string): Promise<Readable | undefined>;
}

export interface CaptureOptions {
  readonly directory: string;
  readonly maxMessages?: number;
}

const maxReads = 64;
const safeId = /^[A-Za-z0-9_-]{1,128}$/;

export function createCapture({ directory, maxMessages = 10_000 }: CaptureOptions): Capture {
  /** Ids in the folder, oldest first. Read at the first use, and again when that failed. */
  let opened: Promise<Set<string>> | undefined;
  const underway = new Map<string, Promise<unknown>>();

  function ids(): Promise<Set<string>> {
    opened ??= openFolder(directory).catch((cause: unknown) => {
      opened = undefined;
      throw cause;
    });
    return opened;
  }

  /** Claims of one message follow one another, since each adds to the same metadata. */
  async function inTurn(id: string, task: () => Promise<void>): Promise<void> {
    const mine = (underway.get(id) ?? Promise.resolve()).then(task, task);
    underway.set(id, mine);
    try {
      await mine;
    } finally {
      if (underway.get(id) === mine) underway.delete(id);
    }
  }

  async function makeRoom(known: Set<string>): Promise<void> {
    for (const oldest of known) {
      if (known.size <= maxMessages) return;
      known.delete(oldest);
      await rm(join(directory, `${oldest}.json`), { force: true });
      await rm(join(directory, `${oldest}.eml`), { force: true });
    }
  }

  return {
    async store(claim) {
      const { id } = claim.message;
      if (!safeId.test(id)) throw new Error('a message id that cannot be a file name');
      const known = await ids();
      await inTurn(id, async () => await write(directory, claim));
      known.add(id);
      await makeRoom(known);
    },
    async list() {
      const newestFirst = [...(await ids())].sort().reverse();
      const found: Captured[] = [];
      for (let from = 0; from < newestFirst.length; from += maxReads) {
        const page = newestFirst.slice(from, from + maxReads).map(async id => await readMetadata(directory, id));
        for (const captured of await Promise.all(page)) if (captured !== undefined) found.push(captured);
      }
      return found;
    },
    async read(id) {
      if (!safeId.test(id) || !(await ids()).has(id)) return undefined;
      const file = await openIfThere(join(directory, `${id}.eml`));
      return file?.createReadStream();
    },
  };
}

async function openFolder(directory: string): Promise<Set<string>> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const names = await readdir(directory);
  // What a crash left half done.
  const parts = names.filter(name => name.endsWith('.part'));
  await Promise.all(parts.map(async name => await rm(join(directory, name), { force: true })));
  const found = names.filter(name => name.endsWith('.json')).map(name => name.slice(0, -'.json'.length));
  // Ids sort by time of arrival.
  return new Set(found.sort());
}

async function write(directory: string, claim: Claim): Promise<void> {
  const { id, sender, receivedTimeMs } = claim.message;
  const known = await readMetadata(directory, id);
  const forwardPaths = new Set([
    ...(known?.forwardPaths ?? []),
    ...claim.recipients.map(({ forwardPath }) => forwardPath),
  ]);
  const captured: Captured = {
    id,
    reversePath: sender.reversePath?.text ?? '',
    forwardPaths: [...forwardPaths],
    receivedTime: new Date(receivedTimeMs).toISOString(),
    size: claim.head.length + claim.content.sizeBytes,
  };
  if (known === undefined) {
    await writeDurably(directory, `${id}.eml`, async file => {
      await file.writeFile(claim.head);
      for await (const chunk of claim.content.read()) await file.writeFile(chunk);
    });
  }
  await writeDurably(directory, `${id}.json`, async file => await file.writeFile(JSON.stringify(captured)));
  await syncDirectory(directory);
}

async function writeDurably(directory: string, name: string, fill: (file: FileHandle) => Promise<void>): Promise<void> {
  const part = join(directory, `${name}.part`);
  const file = await open(part, 'w', 0o640);
  try {
    await fill(file);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(part, join(directory, name));
}

/** Without it a power loss may forget the rename. */
async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function readMetadata(directory: string, id: string): Promise<Captured | undefined> {
  const file = await openIfThere(join(directory, `${id}.json`));
  if (file === undefined) return undefined;
  try {
    return JSON.parse(await file.readFile('utf8')) as Captured;
  } finally {
    await file.close();
  }
}

async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'r');
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined;
    throw cause;
  }
}
