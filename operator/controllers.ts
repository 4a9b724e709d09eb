/** Who works on what. */
import { createDomainPolicyController } from './domainpolicy/controller.ts';
import { policyStatesOf } from './domainpolicy/observe.ts';
import { createMailRelayController } from './mailrelay/controller.ts';
import type { ControllerFactories } from './term.ts';

export const controllers: ControllerFactories = {
  relays: deps => createMailRelayController(deps, { policyStatesOf }),
  policies: createDomainPolicyController,
};
