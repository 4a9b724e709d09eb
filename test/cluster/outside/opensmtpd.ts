/**
 * A real OpenSMTPD on an outside address: takes mail for one domain and keeps each message as a file. Debian's package cannot be installed
 * beside Postfix's, and its paths and users are built in: so it is unpacked, and laid over this machine's files for its processes alone.
 */
import { existsSync } from 'node:fs';
import { chmod, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startProcess } from '../../support/processes.ts';
import { RawClient } from '../../support/raw-client.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { openSmtpdFolder } from '../setup/opensmtpd.ts';

export interface OpenSmtpd extends AsyncDisposable {
  /** The files of the messages it took, in no order. */
  delivered(): Promise<readonly string[]>;
}

/** Mounts end with the mount namespace, which ends with its last process. */
const script = `
mount -t tmpfs tmpfs "$1/layers"
for part in usr etc; do
  mkdir "$1/layers/$part" "$1/layers/$part-work"
  mount -t overlay overlay -o "lowerdir=$2/$part:/$part,upperdir=$1/layers/$part,workdir=$1/layers/$part-work" "/$part"
done
for folder in /run /var/spool /var/lib; do mount -t tmpfs -o mode=755 tmpfs "$folder"; done
mkdir -p -m 755 /var/lib/opensmtpd/empty
mkdir -m 711 /var/spool/smtpd
for user in opensmtpd opensmtpq taker; do useradd --system --no-create-home --home-dir /var/lib/opensmtpd/empty "$user"; done
chown taker "$1/mail"
exec /usr/sbin/smtpd -F -f "$1/smtpd.conf"
`;

/** `folder` must be empty. */
export async function startOpenSmtpd(folder: string, address: string, domain: string): Promise<OpenSmtpd> {
  if (!existsSync(openSmtpdFolder())) throw new Error('OpenSMTPD is not unpacked: see test/cluster/setup/opensmtpd.ts');
  for (const name of ['layers', 'mail']) await mkdir(join(folder, name));
  await chmod(folder, 0o755);
  await writeFile(
    join(folder, 'smtpd.conf'),
    [
      `listen on ${address} port 25 hostname mx.${domain}`,
      'table everybody { "@" = taker }',
      `action "keep" maildir "${join(folder, 'mail')}" virtual <everybody>`,
      `match from any for domain "${domain}" action "keep"`,
      '',
    ].join('\n'),
  );
  const server = startProcess('unshare', ['--mount', 'sh', '-euc', script, 'sh', folder, openSmtpdFolder()]);
  try {
    await waitUntil('OpenSMTPD to greet', () => greets(address), { limitMs: 20_000, everyMs: 50 });
  } catch (cause) {
    await server.stop('SIGTERM');
    throw new Error(`OpenSMTPD did not start:\n${server.errors()}`, { cause });
  }
  return {
    async delivered() {
      const fresh = join(folder, 'mail/new');
      return existsSync(fresh) ? (await readdir(fresh)).map(name => join(fresh, name)) : [];
    },
    [Symbol.asyncDispose]: async () => void (await server.stop('SIGTERM')),
  };
}

async function greets(address: string): Promise<boolean> {
  try {
    await (await RawClient.open(25, address)).quit();
    return true;
  } catch (error) {
    if (error instanceof Error) return false;
    throw error;
  }
}
