// `helm test`: the API server knows MailRelay by this chart's definition: it takes a right one and refuses a wrong one. Nothing is stored.
import { readFile } from 'node:fs/promises';
import { request } from 'node:https';

const folder = process.env.SERVICE_ACCOUNT_FOLDER ?? '/var/run/secrets/kubernetes.io/serviceaccount';
const read = name => readFile(`${folder}/${name}`, 'utf8');
const [namespace, token, ca] = await Promise.all(['namespace', 'token', 'ca.crt'].map(read));

async function tryRelay(spec) {
  const metadata = { generateName: 'postroad-test-' };
  const body = JSON.stringify({ apiVersion: 'postroad.dev/v1alpha1', kind: 'MailRelay', metadata, spec });
  return await new Promise((resolve, reject) => {
    const options = {
      host: process.env.KUBERNETES_SERVICE_HOST,
      port: process.env.KUBERNETES_SERVICE_PORT,
      path: `/apis/postroad.dev/v1alpha1/namespaces/${namespace.trim()}/mailrelays?dryRun=All&fieldValidation=Strict`,
      method: 'POST',
      ca,
      timeout: 20_000,
      headers: { authorization: `Bearer ${token.trim()}`, 'content-type': 'application/json' },
    };
    const asked = request(options, answer => {
      answer.resume();
      answer.on('end', () => resolve(answer.statusCode));
    });
    asked.on('timeout', () => asked.destroy(new Error('the API server did not answer within 20 s')));
    asked.on('error', reject);
    asked.end(body);
  });
}

const listeners = [{ name: 'smtp', port: 25, protocol: 'SMTP' }];
const right = await tryRelay({ hostname: 'mail.example.com', listeners });
const wrong = await tryRelay({ hostname: 'not a name', listeners });
console.log(`a right MailRelay: ${right} (wanted 201); a wrong one: ${wrong} (wanted 422)`);
process.exitCode = right === 201 && wrong === 422 ? 0 : 1;
