/** The commands of a page of the documentation: indented by four spaces, as a reader copies them. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type OwnedProcess, startProcess } from '../support/processes.ts';
import { waitUntil } from '../support/wait-until.ts';
import { type Cluster, splitImage } from './cluster.ts';

const root = new URL('../..', import.meta.url).pathname;

/** Each command of a section, in their order; one over several lines is one. */
export async function commandsOf(page: string, heading: string): Promise<readonly string[]> {
  const text = await readFile(join(root, page), 'utf8');
  const section = text.split(/^(?=#{1,3} )/m).find(part => part.split('\n')[0]?.replace(/^#+ /, '') === heading);
  if (section === undefined) throw new Error(`${page} has no section ${heading}`);
  return commandsIn(section);
}

/** The one command of a page that begins so. */
export async function commandOf(page: string, beginning: string): Promise<string> {
  const commands = commandsIn(await readFile(join(root, page), 'utf8'));
  const [found, second] = commands.filter(command => command.startsWith(beginning));
  if (found === undefined || second !== undefined) throw new Error(`${page} has not one command ${beginning}`);
  return found;
}

/** Of a text; a manifest, which begins with its apiVersion, counts as one. */
export function commandsIn(text: string): readonly string[] {
  const blocks = text
    .split(/\n(?! {4}|\n {4})/)
    .map(block => block.split('\n').filter(line => line.startsWith('    ')));
  return blocks.flatMap(lines => {
    // Below an item of a list a block is indented further.
    const indent = Math.min(...lines.map(line => line.search(/\S/)));
    const all = lines.map(line => line.slice(indent));
    return all[0]?.startsWith('apiVersion: ') ? [all.join('\n')] : joined(all);
  });
}

/** A line that ends with a backslash, or within quotes, goes on. */
function joined(lines: readonly string[]): string[] {
  const commands: string[] = [];
  let open = '';
  for (const line of lines) {
    open = open === '' ? line : `${open}\n${line}`;
    const quotes = open.split("'").length - 1;
    if (open.endsWith('\\') || quotes % 2 === 1) continue;
    commands.push(open);
    open = '';
  }
  return open === '' ? commands : [...commands, open];
}

/** The image of the documentation is made up: the cluster's stands in its place. */
export function withImage(command: string, { image }: Pick<Cluster, 'image'>): string {
  const [repository, tag] = splitImage(image);
  return command.replace('registry.example.com/postroad', repository).replace('image.tag=0.1.0', `image.tag=${tag}`);
}

/** A command that ends with `&`, such as a port-forward: runs until it is stopped. Resolves when it has said that it forwards. */
export async function inBackground(command: string): Promise<OwnedProcess> {
  const lines: string[] = [];
  const foreground = command.replace(/&\s*$/, '');
  const running = startProcess('bash', ['-c', `exec ${foreground}`], { cwd: root, onLine: line => lines.push(line) });
  await waitUntil(`${foreground} to forward`, () => lines.some(line => line.startsWith('Forwarding from')), {
    limitMs: 30_000,
  });
  return running;
}
