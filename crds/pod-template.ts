/** spec.template of a MailRelay: the part of a pod that is left to its owner. */
import { objectName } from './common.ts';
import { integer, list, map, object, oneOf, optional, quantity, type Rule, string, type TypeOf } from './schema.ts';
import { bytesOf, cpuBetween, cpuQuantity, millicoresOf, quantityBetween } from './size.ts';

type Texts = Readonly<Record<string, string>>;

const qualifiedName = '^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$';
const ownPrefix = '^(app[.]kubernetes[.]io|postroad[.]dev)/';

const nameRule: Rule<Texts> = {
  rule: `self.all(key, key.matches('${qualifiedName}'))`,
  message:
    'each key must be a name of at most 63 letters, digits, hyphens, underscores and dots, after an optional prefix and a slash',
  check: self => Object.keys(self).every(key => new RegExp(qualifiedName).test(key)),
};
const keyRules: readonly Rule<Texts>[] = [
  nameRule,
  {
    rule: `self.all(key, !key.matches('${ownPrefix}'))`,
    message: 'keys must not begin with app.kubernetes.io/ or postroad.dev/: those are set by Postroad',
    check: self => !Object.keys(self).some(key => new RegExp(ownPrefix).test(key)),
  },
];

const labelValue = string('Value.', {
  minLength: 0,
  maxLength: 63,
  pattern: {
    regex: '^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$',
    means: 'letters, digits, hyphens, underscores and dots, beginning and ending with a letter or digit',
  },
});
const labelKey = (description: string) =>
  string(description, {
    maxLength: 317,
    pattern: { regex: qualifiedName, means: 'the key of a label, such as topology.kubernetes.io/zone' },
  });

/** The cost that the API server reckons for a rule over keys, whose length it does not know, bounds their number. */
const mostKeys = 8;

const cpu = optional(cpuQuantity('CPU.', [cpuBetween('10m', '256')]));
const memory = optional(quantity('Memory.', [quantityBetween('64Mi', '4Ti')]));

const resources = object(
  'CPU and memory of each pod. Left out: requests of 100m CPU and 256Mi, and a limit of 512Mi. Given: exactly what is given.',
  {
    requests: optional(object('What the scheduler sets aside.', { cpu, memory })),
    limits: optional(
      object('What the pod may use. Above its memory it is killed; mail that was acknowledged survives.', {
        cpu,
        memory,
      }),
    ),
  },
  {
    rules: [
      {
        rule: '!has(self.requests) || !has(self.limits) || !has(self.requests.cpu) || !has(self.limits.cpu) || quantity(string(self.requests.cpu)).compareTo(quantity(string(self.limits.cpu))) <= 0',
        message: 'requests.cpu must be at most limits.cpu',
        check: ({ requests, limits }) =>
          requests?.cpu === undefined ||
          limits?.cpu === undefined ||
          millicoresOf(requests.cpu) <= millicoresOf(limits.cpu),
      },
      {
        rule: '!has(self.requests) || !has(self.limits) || !has(self.requests.memory) || !has(self.limits.memory) || quantity(string(self.requests.memory)).compareTo(quantity(string(self.limits.memory))) <= 0',
        message: 'requests.memory must be at most limits.memory',
        check: ({ requests, limits }) =>
          requests?.memory === undefined ||
          limits?.memory === undefined ||
          bytesOf(requests.memory) <= bytesOf(limits.memory),
      },
    ],
  },
);

const toleration = object(
  'One toleration.',
  {
    key: optional(labelKey('Key of the taint. Left out: every taint.')),
    operator: oneOf('How the value is compared.', ['Equal', 'Exists']),
    value: optional(labelValue),
    effect: optional(
      oneOf('Effect of the taint. Left out: every effect.', ['NoSchedule', 'PreferNoSchedule', 'NoExecute']),
    ),
    tolerationSeconds: optional(integer('For NoExecute: how long the pod stays. Left out: for good.', 0, 2 ** 31 - 1)),
  },
  {
    rules: [
      {
        rule: "self.operator == 'Exists' ? !has(self.value) : has(self.key)",
        message: 'value must be left out where operator is Exists, and key be given where it is Equal',
        check: ({ operator, key, value }) => (operator === 'Exists' ? value === undefined : key !== undefined),
      },
      {
        rule: "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
        message: 'tolerationSeconds must be left out where effect is not NoExecute',
        check: ({ tolerationSeconds, effect }) => tolerationSeconds === undefined || effect === 'NoExecute',
      },
    ],
  },
);

const spread = object('Pods are spread evenly over the values of one label of the nodes.', {
  topologyKey: labelKey('Label of the nodes.'),
  maxSkew: integer('Largest difference in pods between two values.', 1, 64),
  whenUnsatisfiable: oneOf('What happens to a pod that would break it.', ['ScheduleAnyway', 'DoNotSchedule']),
});

export const podTemplate = object(
  'What pods have besides what makes them a relay. A change restarts them one by one.',
  {
    labels: optional(map('Labels of the pods.', labelValue, { maxProperties: mostKeys, rules: keyRules })),
    annotations: optional(
      map('Annotations of the pods.', string('Value.', { minLength: 0, maxLength: 4096 }), {
        maxProperties: mostKeys,
        rules: keyRules,
      }),
    ),
    image: optional(
      string("Image of the relay. Left out: the operator's own, so that both are of one version.", {
        maxLength: 512,
        pattern: {
          regex: '^[a-z0-9]([-a-z0-9._:/]*[a-z0-9])?(:[A-Za-z0-9_][-A-Za-z0-9_.]{0,127})?(@sha256:[0-9a-f]{64})?$',
          means: 'an image such as registry.example.com/postroad:0.1.0',
        },
      }),
    ),
    imagePullPolicy: optional(
      oneOf("When the image is fetched. Left out: Kubernetes' own choice.", ['Always', 'IfNotPresent', 'Never']),
    ),
    imagePullSecrets: optional(
      list('Secrets for the registry of the image.', object('One Secret.', { name: objectName('Its name.') }), {
        listType: 'map',
        keys: ['name'],
        maxItems: 8,
      }),
    ),
    resources: optional(resources),
    nodeSelector: optional(
      map('Labels that a node must have.', labelValue, { maxProperties: mostKeys, rules: [nameRule] }),
    ),
    tolerations: optional(
      list('Taints of nodes that do not keep pods away.', toleration, { listType: 'atomic', maxItems: 16 }),
    ),
    topologySpreadConstraints: optional(
      list('How pods are spread. Left out: over zones and over nodes where that can be had.', spread, {
        listType: 'map',
        keys: ['topologyKey'],
        maxItems: 4,
      }),
    ),
    priorityClassName: optional(objectName('Priority class of the pods.')),
  },
);
export type PodTemplate = TypeOf<typeof podTemplate>;
