/** Three verifiers that share no code with ours nor with each other. Key records are given by name; no DNS is asked. */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { dkimVerify } from 'mailauth/lib/dkim/verify.js';
import { mustRun, runProcess } from './processes.ts';
import { programsMissing } from './programs.ts';
import { temporaryFolder } from './temporary-folder.ts';

/** TXT records by name, such as `s1._domainkey.example.com`. */
export type KeyRecords = Readonly<Record<string, string>>;

/** By selector: whether that signature holds. */
export type Verdicts = Readonly<Record<string, boolean>>;

/** RFC 6376 s3.6.1, RFC 8463 s4.2. */
export function keyRecord(key: KeyObject): string {
  const der = createPublicKey(key).export({ type: 'spki', format: 'der' });
  // RFC 8463 s4: of Ed25519 the bare 32 bytes.
  return key.asymmetricKeyType === 'ed25519'
    ? `v=DKIM1; k=ed25519; p=${der.subarray(-32).toString('base64')}`
    : `v=DKIM1; k=rsa; p=${der.toString('base64')}`;
}

export async function verifyWithMailauth(message: Buffer, records: KeyRecords): Promise<Verdicts> {
  const resolver = async (name: string): Promise<string[][]> => {
    const record = records[name];
    if (record === undefined) throw Object.assign(new Error(`no record ${name}`), { code: 'ENOTFOUND' });
    return [[record]];
  };
  const { results } = await dkimVerify(message, { resolver });
  return Object.fromEntries(results.map(({ selector, status }) => [selector, status.result === 'pass']));
}

const python = '/usr/bin/python3';
const script = `
import base64, dkim, dkim.util, json, sys
job = json.load(sys.stdin)
records = {name + '.': value.encode() for name, value in job['records'].items()}
def find(name, timeout=5):
    return records.get(name.decode() if isinstance(name, bytes) else name)
answers = []
for message in job['messages']:
    d = dkim.DKIM(base64.b64decode(message))
    signatures = [value for name, value in d.headers if name.lower() == b'dkim-signature']
    verdicts = {}
    for index, value in enumerate(signatures):
        selector = dkim.util.parse_tag_value(value)[b's'].decode()
        try:
            holds = d.verify(index, dnsfunc=find)
        except (dkim.DKIMException, ValueError) as error:
            print(repr(error), file=sys.stderr)
            holds = False
        verdicts[selector] = holds
    answers.append(verdicts)
print(json.dumps(answers))
`;

/** For a test's `skip`. */
export async function dkimpyMissing(): Promise<string | false> {
  const missing = programsMissing('python3');
  if (missing !== false) return missing;
  const { code } = await runProcess(python, ['-c', 'import dkim, nacl']);
  return code === 0 ? false : 'needs python3-dkim and python3-nacl: see test/setup/packages.ts';
}

/** All messages by one Python process. */
export async function verifyWithDkimpy(messages: readonly Buffer[], records: KeyRecords): Promise<readonly Verdicts[]> {
  const input = JSON.stringify({ records, messages: messages.map(message => message.toString('base64')) });
  return JSON.parse(await mustRun(python, ['-c', script], { input, timeoutMs: 120_000 }));
}

export function openDkimMissing(): string | false {
  return programsMissing('opendkim');
}

/** In OpenDKIM's test mode, which reads the message as lines of C strings: no NUL, and a CRLF at the end. */
export async function verifyWithOpenDkim(message: Buffer, records: KeyRecords): Promise<Verdicts> {
  await using folder = await temporaryFolder();
  const [keys, config, file] = ['keys', 'config', 'message'].map(name => join(folder.path, name));
  if (keys === undefined || config === undefined || file === undefined) throw new Error('three names');
  await writeFile(keys, Object.entries(records).map(([name, record]) => `${name} ${record}\n`).join('')); // biome-ignore format: one line
  await writeFile(config, `TestPublicKeys ${keys}\nMode v\n`);
  await writeFile(file, message);
  const { stdout, stderr } = await runProcess('opendkim', ['-x', config, '-vv', '-t', file]);
  const results = [...`${stdout}\n${stderr}`.matchAll(/dkim=(\w+)[^;]*?header\.s=(\S+)/g)];
  return Object.fromEntries(results.map(([, result, selector]) => [selector ?? '', result === 'pass']));
}
