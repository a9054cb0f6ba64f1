// Shows /v1/openapi.json. Everything is put in as text, never as HTML.
'use strict';

const make = (tag, text, name) => {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (name) element.className = name;
  return element;
};

// Words between backticks are code.
const written = (element, text) =>
  element.replaceChildren(...text.split('`').map((part, at) => (at % 2 ? make('code', part) : part)));

const methods = ['get', 'post', 'put', 'patch', 'delete'];

const resolved = (api, schema) => {
  const name = schema?.$ref?.split('/').pop();
  return name ? api.components.schemas[name] : schema;
};

const nameOf = (schema) => {
  if (!schema) return '';
  if (schema.$ref) return schema.$ref.split('/').pop();
  if (schema.type === 'array') return `list of ${nameOf(schema.items)}`;
  if (schema.oneOf) return schema.oneOf.map(nameOf).join(' or ');
  return [schema.type].flat().join(' or ') + (schema.format ? ` (${schema.format})` : '');
};

const fields = (api, schema) => {
  const table = make('table');
  const whole = resolved(api, schema) ?? {};
  const parts = whole.allOf ? whole.allOf.map((part) => resolved(api, part)) : [whole];
  for (const part of parts) {
    for (const [name, field] of Object.entries(part.properties ?? {})) {
      const row = make('tr');
      row.append(make('td'));
      row.lastChild.append(make('code', name));
      row.append(make('td', nameOf(field) + ((part.required ?? []).includes(name) ? ', needed' : '')));
      row.append(make('td', field.description ?? '', 'words'));
      table.append(row);
    }
    if (part.enum) {
      const row = make('tr');
      row.append(make('td', part.enum.join(', ')));
      table.append(row);
    }
  }
  return table;
};

const shown = (api, path, method, operation) => {
  const details = make('details');
  const summary = make('summary');
  summary.append(make('code', method.toUpperCase(), 'method'), make('code', path), ' ');
  summary.append(make('span', operation.summary ?? operation.description ?? '', 'words'));
  details.append(summary);
  if (operation['x-permission']) {
    const line = make('p', 'Permission: ');
    line.append(make('code', operation['x-permission']));
    details.append(line);
  }
  if (operation.parameters?.length) {
    const table = make('table');
    for (const parameter of operation.parameters) {
      const row = make('tr');
      row.append(make('td'));
      row.lastChild.append(make('code', parameter.name));
      row.append(make('td', parameter.in), make('td', parameter.description ?? '', 'words'));
      table.append(row);
    }
    details.append(make('h4', 'Parameters'), table);
  }
  const body = operation.requestBody?.content?.['application/json']?.schema;
  if (body) details.append(make('h4', `Body: ${nameOf(body)}`), fields(api, body));
  for (const [status, answer] of Object.entries(operation.responses ?? {})) {
    const schema = answer.content?.['application/json']?.schema;
    details.append(make('h4', `${status}${schema ? `: ${nameOf(schema)}` : ''}`));
    if (schema && status < 300) details.append(fields(api, schema.items ?? schema));
  }
  return details;
};

const draw = (api, wanted) => {
  const groups = new Map();
  for (const [path, item] of Object.entries(api.paths)) {
    for (const method of methods.filter((method) => item[method])) {
      const operation = item[method];
      const text = `${method} ${path} ${operation.summary ?? ''}`.toLowerCase();
      if (!text.includes(wanted)) continue;
      const tag = operation.tags?.[0] ?? 'other';
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push(shown(api, path, method, operation));
    }
  }
  const main = document.getElementById('operations');
  main.replaceChildren();
  for (const [tag, operations] of groups) main.append(make('h2', tag), ...operations);
  if (!groups.size) main.append(make('p', 'Nothing found.'));
};

fetch('/v1/openapi.json')
  .then((answer) => answer.json())
  .then((api) => {
    written(document.getElementById('about'), api.info.description ?? '');
    const find = document.getElementById('find');
    find.addEventListener('input', () => draw(api, find.value.trim().toLowerCase()));
    draw(api, '');
  })
  .catch((error) => {
    document.getElementById('operations').replaceChildren(make('p', `The description cannot be read: ${error}`));
  });
