import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A disk of its own for the test; undefined, with the reason told, where the test may not mount one. */
export async function mountSmallDisk(
  t: TestContext,
  folder: string,
  sizeMib: number,
): Promise<AsyncDisposable | undefined> {
  try {
    await run('mount', ['-t', 'tmpfs', '-o', `size=${sizeMib}m`, 'tmpfs', folder]);
  } catch (error) {
    const reason = `cannot mount a tmpfs here: ${error instanceof Error ? error.message : String(error)}`;
    assert.notEqual(process.env['CI'], 'true', reason);
    t.skip(reason);
    return undefined;
  }
  return {
    async [Symbol.asyncDispose]() {
      await run('umount', ['-l', folder]);
    },
  };
}
