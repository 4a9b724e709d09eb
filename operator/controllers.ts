/** Who works on what. */
import type { Controller, ControllerDeps } from './controller.ts';
import { createDomainPolicyController } from './domainpolicy/controller.ts';
import { createWorkQueue } from './kube/workqueue.ts';
import type { ControllerFactories } from './term.ts';

export const controllers: ControllerFactories = {
  relays: deps => observer(deps, 'mailrelay'),
  policies: deps => createDomainPolicyController(deps),
};

/** Takes no part: relays are seen and counted, and nothing is made of them. */
function observer({ clock, random, log, metrics }: ControllerDeps, name: string): Controller {
  const queue = createWorkQueue({ name, clock, random, log, metrics });
  return { queue, reconcile: async () => undefined, onChange: () => undefined };
}
