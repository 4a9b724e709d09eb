/** The two states of the source that are compared: what is here, and a commit. */
import { mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { mustRun, runProcess } from '../../support/processes.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { shippedSource } from '../relay/shipped.ts';

export interface Sides {
  readonly here: string;
  readonly before: string;
  /** Of `before`, short. */
  readonly commit: string;
}

const root = new URL('../../..', import.meta.url).pathname;

/**
 * Against `asked`; left out, against the last commit when something is changed and not committed, else against the one before it. Undefined where
 * that commit is not here, as in a clone of one commit.
 */
export async function prepareSides(asked: string | undefined): Promise<Sides | undefined> {
  const revision = asked ?? ((await git('status', '--porcelain', 'relay')) === '' ? 'HEAD~1' : 'HEAD');
  const commit = await git('rev-parse', '--short', '--verify', '--quiet', `${revision}^{commit}`);
  if (commit === undefined || commit === '') return undefined;
  const { path } = await temporaryFolder();
  const tree = join(path, 'tree');
  await mkdir(tree);
  const archive = join(path, 'tree.tar');
  await mustRun('git', ['-C', root, 'archive', '--output', archive, commit, 'relay', 'image', 'package.json']);
  await mustRun('tar', ['-xf', archive, '-C', tree]);
  await symlink(join(root, 'node_modules'), join(tree, 'node_modules'));
  return { here: await shippedSource(root), before: await shippedSource(tree), commit };
}

/** Undefined when git or what it was asked for is not there. */
async function git(...args: readonly string[]): Promise<string | undefined> {
  const { code, stdout } = await runProcess('git', ['-C', root, ...args]);
  return code === 0 ? stdout.trim() : undefined;
}
