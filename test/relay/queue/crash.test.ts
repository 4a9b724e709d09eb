/** kill -9 at any instant: what was acknowledged is there, whole; what was settled does not come back (G1, G2). */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { openVolumeQueue } from '../../../relay/queue/sqlite/store.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { crashContent } from './crash-content.ts';
import { everything, readAll } from './messages.ts';
import { smallWal } from './sqlite-harness.ts';

const lives = 6;

interface Diary {
  readonly begun: ReadonlySet<string>;
  readonly kept: ReadonlySet<string>;
  readonly ending: ReadonlySet<string>;
  readonly ended: ReadonlySet<string>;
}

async function opened(child: ChildProcess): Promise<void> {
  const { stdout } = child;
  assert.ok(stdout !== null);
  const [said] = await once(stdout, 'data', { signal: AbortSignal.timeout(20_000) });
  assert.equal(String(said), 'open\n');
}

/** One life of a child, ended at a random instant. */
async function live(folder: string, life: number, mode: 'honest' | 'early'): Promise<void> {
  const script = join(import.meta.dirname, 'crash-child.ts');
  const args = [script, join(folder, 'data'), join(folder, 'diary'), String(life), mode];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    await opened(child);
    await delay(20 + Math.random() * 300);
    assert.equal(child.exitCode, null, 'the child ended by itself');
  } finally {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  }
}

async function readDiary(folder: string): Promise<Diary> {
  const lines = (await readFile(join(folder, 'diary'), 'utf8')).split('\n').map(line => line.split(' '));
  const noted = (what: string) => new Set(lines.filter(([verb]) => verb === what).map(([, id = '']) => id));
  return { begun: noted('begun'), kept: noted('kept'), ending: noted('ending'), ended: noted('ended') };
}

/** What the next owner finds, with every content read and compared. */
async function readQueue(folder: string): Promise<{ found: Set<string>; files: number }> {
  const dataDir = join(folder, 'data');
  const queue = await openVolumeQueue({ dataDir, minFreeDiskBytes: () => 0, ...smallWal });
  try {
    const { totals, depth } = await queue.stats();
    assert.deepEqual([depth.Leased, depth.Held], [0, 0]);
    assert.equal(totals.accepted, totals.delivered + depth.Waiting);
    const found = new Set<string>();
    let files = 0;
    for (let claims = await queue.claim(everything); claims.length > 0; claims = await queue.claim(everything)) {
      for (const { message, content } of claims) {
        found.add(message.id);
        files += content.bytes === undefined ? 1 : 0;
        assert.ok((await readAll(content)).equals(crashContent(message.id, content.sizeBytes)), message.id);
      }
    }
    assert.equal(found.size, depth.Waiting);
    return { found, files };
  } finally {
    await queue.close();
  }
}

async function liveAndDie(folder: string, mode: 'honest' | 'early'): Promise<void> {
  await writeFile(join(folder, 'diary'), '');
  for (let life = 0; life < lives; life += 1) await live(folder, life, mode);
}

describe('A process killed at any instant', () => {
  it('has lost nothing that it was told is kept, and finds nothing again that it was told is settled', async () => {
    await using folder = await temporaryFolder();
    await liveAndDie(folder.path, 'honest');
    const { begun, kept, ending, ended } = await readDiary(folder.path);
    assert.ok(kept.size > 100 && ended.size > 50, `too little was done: ${kept.size} kept, ${ended.size} settled`);
    const { found, files } = await readQueue(folder.path);
    assert.deepEqual(kept.difference(ending).difference(found), new Set(), 'lost');
    assert.deepEqual(found.intersection(ended), new Set(), 'came back');
    assert.deepEqual(found.difference(begun), new Set(), 'came from nowhere');
    assert.equal((await readdir(join(folder.path, 'data', 'spool'))).length, files, 'spool files without a message');
  });

  it('is caught by this test when it acknowledges before the commit (control)', async () => {
    await using folder = await temporaryFolder();
    await liveAndDie(folder.path, 'early');
    const { kept, ending } = await readDiary(folder.path);
    const { found } = await readQueue(folder.path);
    assert.notEqual(kept.difference(ending).difference(found).size, 0);
  });
});
