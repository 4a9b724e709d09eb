/**
 * The story: a restart wrote again what had not changed, and ended when the status could not be written. So on a disk that was
 * full nothing could be served again, not even the mail whose delivery would have made room; and a refusal lost its reasons.
 */
import assert from 'node:assert/strict';
import { mkdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { type Controller, createController, RefusedError } from '../../../operator/standalone/controller.ts';
import { systemClock } from '../../../relay/clock.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { copyQuickstart } from './folders.ts';

interface Place extends AsyncDisposable {
  readonly manifests: string;
  readonly dataDir: string;
  start(): Promise<Controller>;
}

async function newPlace(): Promise<Place> {
  const folder = await temporaryFolder();
  const manifests = join(folder.path, 'manifests');
  const dataDir = join(folder.path, 'data');
  await copyQuickstart(manifests);
  const http = { address: '127.0.0.1', port: 8080 };
  return {
    manifests,
    dataDir,
    start: () => createController({ manifests, dataDir, bindAddress: '127.0.0.1', http }, systemClock),
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

/** A folder where the temporary file of the status should be: it can then not be written. */
async function barStatus({ dataDir }: Place): Promise<void> {
  await mkdir(join(dataDir, 'status', '.mailrelay.mail.outbound.json.new'), { recursive: true });
}

describe('a disk that takes nothing more', () => {
  it('is not written to by a restart that changes nothing', async () => {
    await using place = await newPlace();
    await (await place.start()).apply();
    const files = [join('config', 'relay.json'), 'ca.crt'].map(name => join(place.dataDir, name));
    const inodes = async (): Promise<number[]> =>
      (await Promise.all(files.map(file => stat(file)))).map(({ ino }) => ino);
    const before = await inodes();
    await (await place.start()).apply();
    assert.deepEqual(await inodes(), before);
  });

  it('costs the status, and is told, but serves', async () => {
    await using place = await newPlace();
    await barStatus(place);
    const { warnings, plan } = await (await place.start()).apply();
    assert.equal(warnings.length, 1);
    assert.match(warnings[0] ?? '', /^the status could not be written: /);
    assert.ok(plan.configuration !== undefined);
  });

  it('does not hide why manifests are refused', async () => {
    await using place = await newPlace();
    await barStatus(place);
    await rm(join(place.manifests, 'users.yaml'));
    const controller = await place.start();
    await assert.rejects(controller.apply(), (error: unknown) => {
      assert.ok(error instanceof RefusedError);
      assert.match(error.faults.join('\n'), /Secret mail\/smtp-users is not there\nthe status could not be written: /);
      return true;
    });
  });
});
