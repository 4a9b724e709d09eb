/** A certificate authority that lives as long as a test, made by openssl so that real peers and the relay can share it. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { mustRun } from './processes.ts';

export interface TestCa {
  readonly certificateFile: string;
  /** A certificate for a DNS name and for 127.0.0.1, and its key. */
  issue(name: string): Promise<{ readonly certificateFile: string; readonly privateKeyFile: string }>;
}

const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];

export async function createTestCa(folder: string): Promise<TestCa> {
  await mkdir(folder, { recursive: true });
  const certificateFile = join(folder, 'ca.pem');
  const caKeyFile = join(folder, 'ca-key.pem');
  await mustRun('openssl', [
    'req',
    '-x509',
    ...curve,
    '-subj',
    '/CN=Test CA',
    '-keyout',
    caKeyFile,
    '-out',
    certificateFile,
  ]);
  return {
    certificateFile,
    async issue(name) {
      const files = { certificateFile: join(folder, `${name}.pem`), privateKeyFile: join(folder, `${name}-key.pem`) };
      const signer = ['-CA', certificateFile, '-CAkey', caKeyFile];
      const names = [
        '-subj',
        `/CN=${name}`,
        '-addext',
        `subjectAltName=DNS:${name},IP:127.0.0.1`,
        '-addext',
        'basicConstraints=CA:FALSE',
      ];
      await mustRun('openssl', [
        'req',
        '-x509',
        ...signer,
        ...curve,
        ...names,
        '-keyout',
        files.privateKeyFile,
        '-out',
        files.certificateFile,
      ]);
      return files;
    },
  };
}
