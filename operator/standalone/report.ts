/** What standalone says to the person who started it. */
import type { MailRelay } from '../../crds/mail-relay.ts';
import { nameOf } from '../domainpolicy/attach.ts';
import { zoneLine } from '../domainpolicy/dns-record.ts';
import { isRunning, type Plan, recordsOf } from './plan.ts';
import type { Ready } from './relay-process.ts';

export function servedLines({ observed }: Plan, ready: Ready, authorityFile: string | undefined): string[] {
  const { relay } = observed;
  const names = ready.listeners.map(({ name }) => name.length);
  const width = Math.max(0, ...names);
  const http = `http://${hostPort(ready.http.address, ready.http.port)}`;
  return [
    `Postroad serves MailRelay ${nameOf(relay)} as ${relay.spec.hostname}:`,
    ...ready.listeners.map(
      ({ name, address, port }) => `  ${name.padEnd(width)}  ${hostPort(address, port)}  ${listenerNote(relay, name)}`,
    ),
    `  ${'http'.padEnd(width)}  ${http}  /captured /healthz /readyz /metrics`,
    ...(authorityFile === undefined ? [] : [`To verify its TLS certificate, trust ${authorityFile}`]),
  ];
}

function listenerNote({ spec }: MailRelay, name: string): string {
  const listener = spec.listeners.find(one => one.name === name);
  if (listener === undefined) return '';
  const tls = listener.protocol === 'SMTPS' ? 'TLS' : `STARTTLS ${listener.tls.toLowerCase()}`;
  return `${tls}, AUTH ${listener.authentication.toLowerCase()}`;
}

export function policyLines({ observed }: Plan): string[] {
  return observed.policies.flatMap(state => {
    const title = `DomainPolicy ${nameOf(state.policy)}`;
    if (!isRunning(state)) {
      const why = [
        ...(state.admission.status === 'True' ? [] : [`${state.admission.reason}: ${state.admission.message}`]),
        ...state.secretProblems.map(({ reason, message }) => `${reason}: ${message}`),
      ];
      return [`${title} is not in force: ${why.join('; ')}`];
    }
    return [
      `${title} (${state.policy.spec.domains.join(', ')}): DNS records to publish:`,
      ...recordsOf(observed, state).map(record => `  ${zoneLine(record)}`),
    ];
  });
}

function hostPort(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
