/**
 * A relay without a cluster: a folder of YAML is the cluster, and one process the pods.
 * The same schema, the same configuration and the same relay as behind the operator.
 */
import { join } from 'node:path';
import { systemClock } from '../relay/clock.ts';
import { RefusedError } from './standalone/controller.ts';
import { lockDataFolder } from './standalone/lock.ts';
import { type Options, parseOptions, usage } from './standalone/options.ts';
import { indent, messageOf, serve } from './standalone/serve.ts';

const projectRoot = join(import.meta.dirname, '..');

function say(lines: readonly string[]): void {
  if (lines.length > 0) process.stdout.write(`${lines.join('\n')}\n`);
}

function complain(lines: readonly string[]): void {
  process.stderr.write(`${lines.join('\n')}\n`);
}

function readOptions(): Options | undefined {
  try {
    return parseOptions(process.argv.slice(2), projectRoot);
  } catch (error) {
    complain([messageOf(error), usage]);
    return undefined;
  }
}

async function main(options: Options): Promise<number> {
  const lock = lockDataFolder(options.dataDir);
  try {
    const program = join(projectRoot, 'relay', 'main.ts');
    const service = await serve({ ...options, program, clock: systemClock, output: process.stdout, say });
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => service.stop());
    return await service.done;
  } finally {
    lock.release();
  }
}

const help = process.argv.slice(2).some(argument => argument === '--help' || argument === '-h');
const options = help ? undefined : readOptions();
if (help) {
  say([usage]);
} else if (options === undefined) {
  process.exitCode = 2;
} else {
  try {
    process.exitCode = await main(options);
  } catch (error) {
    const refused = error instanceof RefusedError;
    complain(
      refused
        ? [`The manifests in ${options.manifests} cannot be served:`, ...indent(error.faults)]
        : [`standalone stops: ${messageOf(error)}`],
    );
    process.exitCode = 1;
  }
}
