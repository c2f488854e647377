// What EPCIS events say, as far as a trace needs it: the same in JavaScript as `ledger_traceability::epcis` in Rust, and tested against it.
// @ts-check

const RESOLVER = 'https://id.gs1.org';
const CBV = 'https://ref.gs1.org/cbv/';
const WEB = 'https://ref.gs1.org/voc/';
const EPCIS = 'https://ref.gs1.org/epcis/';

const trimmed = (text) => text.replace(/^\p{White_Space}+|\p{White_Space}+$/gu, '');
const isText = (value) => typeof value === 'string' && !isNumber(value);
const list = (value) => (Array.isArray(value) ? value : []);
const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);

// Numbers as they are written.

const TOKEN = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g;

/** JSON with each number as a text of NUL and its digits, so that none goes through a float; texts that begin with NUL have one more. */
export const exactly = (text) => JSON.parse(text.replace(TOKEN, (token) => {
  if (token[0] !== '"') return `"\\u0000${token}"`;
  return token.startsWith('"\\u0000') ? `"\\u0000${token.slice(1)}` : token;
}));
/** Whether a value that `exactly` has given is a number; `written` is what stands there. */
export const isNumber = (value) => typeof value === 'string' && value[0] === '\0' && value[1] !== '\0';
export const written = (number) => number.slice(1);

/** A number taken apart: its significant digits, without zeros at either end, and the power of ten of the last one. */
export function digitsOf(text) {
  const found = /^(-?)(\d+)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$/.exec(text);
  if (!found) return null;
  const [, sign, whole, part = '', power = '0'] = found;
  const all = (whole + part).replace(/^0+/, '');
  const digits = all.replace(/0+$/, '');
  if (digits === '') return { negative: false, digits, exponent: 0 };
  return { negative: sign === '-', digits, exponent: Number(power) + all.length - digits.length - part.length };
}

// Identifiers.

const areDigits = (text) => /^\d+$/.test(text);
/** GS1's check digit: from the right, the digits count three times and once in turn. */
function checkDigit(body) {
  let sum = 0;
  for (let place = 0; place < body.length; place += 1) sum += Number(body[body.length - 1 - place]) * (place % 2 ? 1 : 3);
  return String((10 - (sum % 10)) % 10);
}
const isChecked = (number, length) => number.length === length && areDigits(number)
  && checkDigit(number.slice(0, -1)) === number.at(-1);

class NoIdentifier extends Error {}
const must = (value) => {
  if (value === null || value === undefined || value === '' || value === false) throw new NoIdentifier();
  return value;
};
const withCheckDigit = (number, length) => must(number.length === length && areDigits(number)) && number + checkDigit(number);
const led = (prefix, reference, length) => withCheckDigit(must(reference)[0] + prefix + reference.slice(1), length);
/** Undoes percent-encoding; throws where it is broken. */
const decoded = (text) => decodeURIComponent(text);
/** Percent-encodes all but those of GS1's characters that a Digital Link may have as they are (URI syntax 1.2, table 7-1). */
const encoded = (text) => encodeURIComponent(text).replace(/[!*()]/g, (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`)
  .replace(/%3B/g, ';').replace(/%3D/g, '=');

function splitFirst(text, separator, most) {
  const parts = text.split(separator);
  return parts.length <= most ? parts : [...parts.slice(0, most - 1), parts.slice(most - 1).join(separator)];
}

/** `urn` is what follows `urn:epc:`. */
function fromUrn(urn) {
  const [kind, scheme, value] = splitFirst(urn, ':', 3);
  const [prefix, reference, last] = splitFirst(must(value), '.', 3);
  must(areDigits(prefix) && prefix.length >= 6 && prefix.length <= 12 && reference !== undefined);
  const item = () => led(prefix, reference, 13);
  const checked = (length) => withCheckDigit(prefix + reference, length);
  const serial = () => encoded(must(decoded(must(last))));
  const alone = () => must(last === undefined) && '';
  const rest = () => encoded(decoded(last === undefined ? reference : `${reference}.${last}`));
  const pattern = {
    sgtin: () => `/01/${item()}`, grai: () => `/8003/0${checked(12)}`, gdti: () => `/253/${checked(12)}`, sgcn: () => `/255/${checked(12)}`,
    cpi: () => `/8010/${prefix}${encoded(decoded(reference))}`,
  };
  const single = {
    sgtin: () => `/01/${item()}/21/${serial()}`, upui: () => `/01/${item()}/235/${serial()}`,
    sscc: () => `${alone()}/00/${led(prefix, reference, 17)}`,
    sgln: () => (last === undefined || last === '0' ? `/414/${checked(12)}` : `/414/${checked(12)}/254/${serial()}`),
    pgln: () => `${alone()}/417/${checked(12)}`, gdti: () => `/253/${checked(12)}${serial()}`, sgcn: () => `/255/${checked(12)}${serial()}`,
    grai: () => `/8003/0${checked(12)}${serial()}`, giai: () => `/8004/${prefix}${rest()}`, ginc: () => `/401/${prefix}${rest()}`,
    gsin: () => `${alone()}/402/${checked(16)}`, gsrn: () => `${alone()}/8018/${checked(17)}`,
    gsrnp: () => `${alone()}/8017/${checked(17)}`,
    cpi: () => `/8010/${prefix}${encoded(decoded(reference))}/8011/${serial()}`,
  };
  const own = (table) => must(Object.hasOwn(table, scheme)) && table[scheme]();
  if (scheme === 'itip' && (kind === 'id' || kind === 'idpat')) {
    const [piece, total, number] = splitFirst(must(last), '.', 3);
    must(/^\d\d$/.test(piece) && /^\d\d$/.test(total ?? '') && number !== undefined);
    const path = `/8006/${item()}${piece}${total}`;
    if (kind === 'idpat') return must(number === '*') && path;
    return `${path}/21/${encoded(decoded(must(number)))}`;
  }
  if (kind === 'idpat') return must(last === '*') && own(pattern);
  if (kind === 'class' && scheme === 'lgtin') return `/01/${item()}/10/${serial()}`;
  return must(kind === 'id') && own(single);
}

const KEYS = ['01', '00', '414', '417', '253', '255', '401', '402', '8003', '8004', '8006', '8010', '8017', '8018'];
const QUALIFIERS = { '01': ['22', '10', '21', '235'], 414: ['254'], 8006: ['22', '10', '21'], 8010: ['8011'] };

/** A Digital Link on any domain, with any path before the key and any query behind. */
function fromLink(link) {
  const [, rest] = must(/^https?:\/\/[^/]*\/([^]*)$/.exec(link));
  const parts = rest.split(/[?#]/)[0].replace(/\/+$/, '').split('/');
  const key = parts.findLastIndex((part) => KEYS.includes(part));
  must(key >= 0 && (parts.length - key) % 2 === 0);
  const pairs = [];
  for (let at = key; at < parts.length; at += 2) pairs.push([parts[at], decoded(must(parts[at + 1]))]);
  const [[name, value], ...qualifiers] = pairs;
  must(qualifiers.every(([qualifier]) => (QUALIFIERS[name] ?? []).includes(qualifier)));
  const qualifier = (wanted) => {
    const found = qualifiers.find(([it]) => it === wanted);
    return found && `/${wanted}/${encoded(found[1])}`;
  };
  // A serial number names one item whatever lot or variant is given along with it; so does a lot with its variant.
  const finest = (...names) => names.map(qualifier).find(Boolean) ?? '';
  switch (name) {
    case '01': {
      const item = value.padStart(14, '0');
      must([8, 12, 13, 14].includes(value.length) && isChecked(item, 14));
      return `/01/${item}${finest('21', '235', '10', '22')}`;
    }
    case '00': return must(isChecked(value, 18)) && `/00/${value}`;
    case '414': {
      const extension = qualifier('254') ?? '';
      return must(isChecked(value, 13)) && `/414/${value}${extension === '/254/0' ? '' : extension}`;
    }
    case '417': return must(isChecked(value, 13)) && `/417/${value}`;
    case '8017': case '8018': return must(isChecked(value, 18)) && `/${name}/${value}`;
    case '253': return must(isChecked(value.slice(0, 13), 13)) && `/253/${encoded(value)}`;
    case '8003': return must(value[0] === '0' && isChecked(value.slice(1, 14), 13)) && `/8003/${encoded(value)}`;
    case '255': return must(isChecked(value.slice(0, 13), 13) && areDigits(value)) && `/255/${value}`;
    case '401': case '8004': return `/${name}/${encoded(value)}`;
    case '402': return must(isChecked(value, 17)) && `/402/${value}`;
    case '8010': return `/8010/${encoded(value)}${finest('8011')}`;
    default:
      must(value.length === 18 && areDigits(value) && isChecked(value.slice(0, 14), 14));
      return `/8006/${value}${finest('21', '10')}`;
  }
}

/** The canonical path of an identifier of GS1's in either spelling; `null` where it is none. */
function pathOf(text) {
  try {
    return text.startsWith('urn:epc:') ? fromUrn(text.slice(8)) : fromLink(text);
  } catch (error) {
    if (error instanceof NoIdentifier || error instanceof URIError) return null;
    throw error;
  }
}

/** The canonical form of an identifier: one name for one thing, whether an EPC URN or a Digital Link names it. */
export function canonical(text) {
  const name = trimmed(text);
  const path = pathOf(name);
  return path === null ? name : RESOLVER + path;
}

const SCHEMES = ['id:sg', 'id:ss', 'id:pgln', 'id:g', 'id:cpi', 'id:itip', 'id:upui', 'idpat:', 'class:lgtin'];
/** Whether a canonical name looks like an identifier of GS1's but isn't one: its length or its check digit is wrong. */
export function isFaulty(item) {
  if (item.startsWith('urn:epc:')) {
    const urn = item.slice(8);
    return SCHEMES.some((scheme) => urn.startsWith(scheme)) && !urn.startsWith('id:gid:');
  }
  return /^https?:\/\/id\.gs1\.org\//.test(item) && pathOf(item) === null;
}

/** `(01)09521141123454(10)L7` for identifiers of GS1's, else the name itself. */
export const short = (item) => (item.startsWith(RESOLVER)
  ? item.slice(RESOLVER.length).split('/').slice(1).map((part, at) => (at % 2 ? part : `(${part})`)).join('') : item);

/** What follows the last `:`, `/` or `#`. */
export const localName = (name) => name.split(/[:/#]/).pop();

// What an event names.

const CHILDREN = [['childEPCs', 'childQuantityList', 'child']];
const SUBJECTS = [['epcList', 'quantityList', 'subject']];
const LISTS = {
  ObjectEvent: SUBJECTS, TransactionEvent: SUBJECTS, AggregationEvent: CHILDREN, AssociationEvent: CHILDREN,
  TransformationEvent: [['inputEPCList', 'inputQuantityList', 'input'], ['outputEPCList', 'outputQuantityList', 'output']],
};
const PARENT = { AggregationEvent: 'parent', AssociationEvent: 'parent', TransactionEvent: 'subject' };

/** The items of an event and what they were to it, in the event's order. */
export function mentions(event) {
  const found = [];
  const add = (role, id) => { if (isText(id)) found.push({ role, item: canonical(id) }); };
  const kind = isText(event.type) && Object.hasOwn(LISTS, event.type) ? event.type : '';
  if (PARENT[kind]) add(PARENT[kind], event.parentID);
  if (kind === 'TransformationEvent') add('process', event.transformationID);
  for (const [single, quantities, role] of LISTS[kind] ?? []) {
    list(event[single]).forEach((id) => add(role, id));
    list(event[quantities]).forEach((entry) => add(role, entry?.epcClass));
  }
  return found;
}

// Times.

const TIME = /^(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?([zZ]|[+-]\d\d:\d\d)?$/;
function minutesOf(zone) {
  const [hours, minutes] = [Number(zone.slice(1, 3)), Number(zone.slice(4, 6))];
  return hours > 23 || minutes > 59 ? NaN : (zone[0] === '-' ? -1 : 1) * (hours * 60 + minutes);
}

/** The instant that an EPCIS time names: whole milliseconds since 1970, and nanoseconds beyond; `null` where it names none. */
function precisely(text, local) {
  const found = typeof text === 'string' ? TIME.exec(text) : null;
  if (!found) return null;
  const [year, month, day, hour, minute, second] = found.slice(1, 7).map(Number);
  const zone = found[8] ?? (typeof local === 'string' && /^[+-]\d\d:\d\d$/.test(local) ? local : 'Z');
  const date = new Date(0);
  // A leap second counts as the second before it.
  date.setUTCFullYear(year, month - 1, day);
  date.setUTCHours(hour, minute, Math.min(second, 59));
  const fits = date.getUTCMonth() === month - 1 && date.getUTCDate() === day && hour < 24 && minute < 60 && second <= 60;
  const whole = date.getTime() - (/z/i.test(zone) ? 0 : minutesOf(zone)) * 60_000;
  if (!fits || Number.isNaN(whole)) return null;
  const nanoseconds = Number((found[7] ?? '').padEnd(9, '0').slice(0, 9));
  return [whole + Math.floor(nanoseconds / 1e6), nanoseconds % 1e6];
}

/** The instant that an EPCIS time names, in milliseconds; `local` is its offset from UTC where it names none; NaN where it names none. */
export function instant(text, local) {
  const found = precisely(text, local);
  return found === null ? NaN : found[0] + found[1] / 1e6;
}

// When two events are the same.

// What a value is, which says how it is normalised: a value, a time, a word of a vocabulary, fields in an order, a list whose order says
// nothing, or nothing but extensions.
const VALUE = { value: true };
const WHEN = { time: true };
const word = (base) => ({ word: base });
const record = (fields) => ({ fields });
const unordered = (of) => ({ of });
const EPCS = unordered(VALUE);
const QUANTITIES = unordered(record({ epcClass: VALUE, quantity: VALUE, uom: VALUE }));
const DISPOSITION = word(`${CBV}Disp-`);
const DISPOSITIONS = unordered(DISPOSITION);
const PLACE = record({ id: VALUE });
const ends = (side) => unordered(record({ type: word(`${CBV}SDT-`), [side]: VALUE }));
const values = (...names) => Object.fromEntries(names.map((name) => [name, VALUE]));
const DEVICE = values('deviceID', 'deviceMetadata', 'rawData', 'dataProcessingMethod');
const REPORT = record({
  type: word(WEB), exception: word(WEB), ...DEVICE, time: WHEN, component: word(`${CBV}Comp-`),
  ...values('microorganism', 'chemicalSubstance', 'value', 'stringValue', 'booleanValue', 'hexBinaryValue', 'uriValue', 'minValue',
    'maxValue', 'meanValue', 'sDev', 'percRank', 'percValue', 'uom', 'coordinateReferenceSystem'),
});
const METADATA = record({ time: WHEN, startTime: WHEN, endTime: WHEN, ...DEVICE, bizRules: VALUE });
const FIELDS = {
  eventTime: WHEN, eventTimeZoneOffset: VALUE, epcList: EPCS, parentID: VALUE, inputEPCList: EPCS, childEPCs: EPCS,
  quantityList: QUANTITIES, childQuantityList: QUANTITIES, inputQuantityList: QUANTITIES, outputEPCList: EPCS,
  outputQuantityList: QUANTITIES, action: VALUE, transformationID: VALUE, bizStep: word(`${CBV}BizStep-`), disposition: DISPOSITION,
  persistentDisposition: record({ set: DISPOSITIONS, unset: DISPOSITIONS }), readPoint: PLACE, bizLocation: PLACE,
  bizTransactionList: unordered(record({ type: word(`${CBV}BTT-`), bizTransaction: VALUE })), sourceList: ends('source'),
  destinationList: ends('destination'), sensorElementList: unordered(record({ sensorMetadata: METADATA, sensorReport: unordered(REPORT) })),
  ilmd: { extensions: true },
};
/** Fields that say nothing of what happened. */
const LEFT_OUT = ['eventID', 'recordTime', 'type', '@context', 'errorDeclaration'];

const PREFIXES = { cbvmda: 'urn:epcglobal:cbv:mda', gs1: WEB, cbv: CBV, epcis: EPCIS, rdfs: 'http://www.w3.org/2000/01/rdf-schema#' };
const KINDS = { bizstep: 'BizStep-', disp: 'Disp-', btt: 'BTT-', sdt: 'SDT-', er: 'ER-' };

function bind(scope, context) {
  if (Array.isArray(context)) context.forEach((item) => bind(scope, item));
  else if (isObject(context)) {
    Object.entries(context).filter(([, uri]) => isText(uri)).forEach(([prefix, uri]) => scope.bound.set(prefix, uri));
  }
  return scope;
}

/** A text in canonical form, if it is an identifier or a word of GS1's. */
function textIn(text) {
  const plain = trimmed(text);
  const [, kind, name] = /^urn:epcglobal:cbv:(bizstep|disp|btt|sdt|er):([^]*)$/.exec(plain) ?? [];
  if (kind) return CBV + KINDS[kind] + name;
  const prefixed = /^(gs1|cbv|epcis):([^]*)$/.exec(plain);
  return prefixed ? PREFIXES[prefixed[1]] + prefixed[2] : canonical(plain);
}

/** The normal form of a value, as a tree of which equal ones are the same event, however it is spelled. */
function normal(value, is, scope) {
  if (is.time && isText(value)) {
    const time = precisely(trimmed(value), scope.offset);
    return time ? ['time', ...time] : ['text', value];
  }
  if (is.word !== undefined && isText(value)) {
    const text = trimmed(value);
    return ['text', text === '' || text.includes(':') ? textIn(text) : is.word + text];
  }
  if (is.fields && isObject(value)) return fieldsOf(value, is.fields, [], scope);
  if (is.of && Array.isArray(value)) return ['list', value.map((item) => JSON.stringify(normal(item, is.of, scope))).sort()];
  if (isObject(value)) {
    // A context inside holds for what is inside.
    const inside = value['@context'] === undefined || is.extensions ? scope
      : bind({ bound: new Map(), outer: scope, offset: scope.offset }, value['@context']);
    return ['object', [], extensionsOf(Object.entries(value), inside)];
  }
  if (Array.isArray(value)) return ['array', value.map((item) => normal(item, VALUE, scope))];
  if (isNumber(value)) {
    const number = digitsOf(written(value));
    return ['number', number ? `${number.negative ? '-' : ''}${number.digits || 0}e${number.exponent}` : value];
  }
  return typeof value === 'string' ? ['text', textIn(value)] : [value];
}

function fieldsOf(object, fields, leftOut, scope) {
  const names = Object.keys(fields).filter((name) => Object.hasOwn(object, name));
  const known = names.map((name) => [name, normal(object[name], fields[name], scope)]);
  const others = Object.entries(object).filter(([name]) => !Object.hasOwn(fields, name) && !leftOut.includes(name));
  return ['object', known, extensionsOf(others, scope)];
}

/** The order of an object's members says nothing. */
function extensionsOf(members, scope) {
  const found = members.filter(([name]) => name !== '@context').map(([name, value]) => {
    const at = name.indexOf(':');
    const namespace = bound(scope, at < 0 ? name : name.slice(0, at));
    const local = at >= 0 && namespace !== null ? name.slice(at + 1) : name;
    return JSON.stringify([namespace, local, normal(value, VALUE, scope)]);
  });
  return found.sort();
}

function bound(scope, prefix) {
  for (let here = scope; here; here = here.outer) if (here.bound.has(prefix)) return here.bound.get(prefix);
  return null;
}

/**
 * What an event that `exactly` has given says happened, in a text that is the same for all its spellings: without its ID, when it was
 * recorded, and whether it declares an error. An error declaration is about the event with the same content.
 */
export function contentOf(event) {
  const prefixes = new Map(Object.entries(PREFIXES));
  const scope = bind({ bound: prefixes, outer: null, offset: event.eventTimeZoneOffset }, event['@context']);
  return JSON.stringify([isText(event.type) ? event.type : '', fieldsOf(event, FIELDS, LEFT_OUT, scope)]);
}
