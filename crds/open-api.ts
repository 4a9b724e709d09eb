/** The CustomResourceDefinition of a kind. */
import { group, version } from './common.ts';
import type { Column, Kind } from './kind.ts';
import type { Node, ObjectNode, Rule } from './schema.ts';
import { validateNode } from './validate.ts';

type Json = Readonly<Record<string, unknown>>;

export function customResourceDefinition(kind: Kind): Json {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${kind.plural}.${group}`, labels: { 'app.kubernetes.io/part-of': 'postroad', ...kind.labels } },
    spec: {
      group,
      scope: 'Namespaced',
      names: {
        kind: kind.kind,
        listKind: `${kind.kind}List`,
        plural: kind.plural,
        singular: kind.singular,
        shortNames: [kind.shortName],
        categories: ['postroad'],
      },
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          schema: { openAPIV3Schema: rootSchema(kind) },
          subresources: { status: {}, ...(kind.scale === undefined ? {} : { scale: kind.scale }) },
          additionalPrinterColumns: kind.columns.map(printerColumn),
        },
      ],
    },
  };
}

function rootSchema(kind: Kind): Json {
  return {
    description: kind.description,
    type: 'object',
    required: ['spec'],
    properties: {
      apiVersion: { type: 'string', description: 'Version of this schema.' },
      kind: { type: 'string', description: 'Kind of this object.' },
      metadata: { type: 'object' },
      spec: openApiSchema(kind.spec),
      status: openApiSchema(kind.status),
    },
    ...validations(kind.rules),
  };
}

function printerColumn({ name, description, jsonPath, type, wide = false }: Column): Json {
  return { name, type, description, jsonPath, ...(wide ? { priority: 1 } : {}) };
}

export function openApiSchema(node: Node): Json {
  const head = {
    description: node.description,
    // With the defaults below it filled in: the API server holds a default to the rules as it stands in the CRD.
    ...(node.presence === 'defaulted' ? { default: validateNode(node, '', node.default).value } : {}),
  };
  return { ...head, ...body(node), ...validations(node.rules) };
}

function body(node: Node): Json {
  switch (node.kind) {
    case 'string':
      return {
        type: 'string',
        ...(node.values === undefined ? {} : { enum: node.values }),
        ...(node.format === undefined ? {} : { format: node.format }),
        ...(node.pattern === undefined ? {} : { pattern: node.pattern.regex }),
        ...(node.values === undefined ? { minLength: node.minLength, maxLength: node.maxLength } : {}),
      };
    case 'integer':
      return { type: 'integer', format: node.format, minimum: node.minimum, maximum: node.maximum };
    case 'quantity':
      return {
        'x-kubernetes-int-or-string': true,
        anyOf: [{ type: 'integer' }, { type: 'string' }],
        pattern: node.pattern.regex,
        maxLength: node.maxLength,
      };
    case 'list':
      return {
        type: 'array',
        'x-kubernetes-list-type': node.listType,
        ...(node.listType === 'map' ? { 'x-kubernetes-list-map-keys': node.keys } : {}),
        minItems: node.minItems,
        maxItems: node.maxItems,
        items: openApiSchema(node.items),
      };
    case 'map':
      return { type: 'object', maxProperties: node.maxProperties, additionalProperties: openApiSchema(node.values) };
    case 'object':
      return objectBody(node);
  }
}

function objectBody({ properties, atomic }: ObjectNode): Json {
  const required = Object.keys(properties).filter(name => properties[name]?.presence === 'required');
  return {
    type: 'object',
    ...(atomic ? { 'x-kubernetes-map-type': 'atomic' } : {}),
    ...(required.length === 0 ? {} : { required }),
    properties: Object.fromEntries(Object.entries(properties).map(([name, node]) => [name, openApiSchema(node)])),
  };
}

function validations(rules: readonly Rule<never>[]): Json {
  if (rules.length === 0) return {};
  return {
    'x-kubernetes-validations': rules.map(({ rule, message, fieldPath }) => ({
      rule,
      message,
      ...(fieldPath === undefined ? {} : { fieldPath }),
    })),
  };
}
