// Words: how the page writes what events say. All text from events becomes text nodes.
const $ = (id) => document.getElementById(id);
const SVG = 'http://www.w3.org/2000/svg';
const NAMESPACE = 'https://ns.example.com/ledgerkit/traceability/';
const MAX_ROWS = 200;

function make(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) element.setAttribute(name, value);
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ''));
  return element;
}
const h = (tag, attributes, ...children) => make(document.createElement(tag), attributes, children);
const s = (tag, attributes, ...children) => make(document.createElementNS(SVG, tag), attributes, children);

const textOf = (value) => (typeof value === 'string' ? value : typeof value === 'number' ? String(value) : '');
const local = (name) => localName(textOf(name));
const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
const clip = (text, most = 300) => (text.length > most ? `${text.slice(0, most)}…` : text);
const label = (item) => clip(short(item), 120);
const brief = (item, most) => clip(short(item).split(/\(10\)|\(21\)|[:/]/).pop() || short(item), most);
const few = (digest) => `${digest.slice(0, 12)}…`;
const plural = (count, name) => `${count} ${name}${count === 1 ? '' : 's'}`;
const under = (word) => word.replace(/_/g, ' ');
/** `RelativeHumidity` as `relative humidity`. */
const spaced = (name) => name.replace(/\p{Uppercase}/gu, (letter, place) => (place > 0 ? ` ${letter}` : letter)).toLowerCase();

/** `2015-05-23 11:00 +03:00`, in the event's own zone. */
function clock(time, offset = '+00:00') {
  const minutes = /^([+-])(\d\d):(\d\d)$/.exec(offset);
  const shift = minutes ? (minutes[1] === '-' ? -1 : 1) * (Number(minutes[2]) * 60 + Number(minutes[3])) : 0;
  const shifted = new Date(time + shift * 60000);
  if (Number.isNaN(shifted.getTime())) return 'a time that can\'t be read';
  return `${shifted.toISOString().slice(0, -8).replace('T', ' ')} ${minutes ? offset : '+00:00'}`;
}
const day = (time) => (Number.isFinite(time) ? new Date(time).toISOString().split('T')[0] : '');
/** How much time is between the two, in the largest unit that says it. */
function span(from, to) {
  const seconds = Math.trunc(to / 1000) - Math.trunc(from / 1000);
  const [size, name] = seconds >= 86_400 ? [86_400, 'day'] : seconds >= 3_600 ? [3_600, 'hour'] : [60, 'minute'];
  return plural(Math.trunc(seconds / size), name);
}

/** The member of `holder` that the event's context binds to the traceability namespace. */
function extension(event, holder, term) {
  const contexts = [event['@context']].flat().filter((it) => it && typeof it === 'object');
  for (const [name, value] of Object.entries(holder && typeof holder === 'object' ? holder : {})) {
    const at = name.indexOf(':');
    if (name === NAMESPACE + term) return value;
    if (at > 0 && name.slice(at + 1) === term && contexts.some((it) => it[name.slice(0, at)] === NAMESPACE)) return value;
  }
  return undefined;
}

const FIRST_WORDS = {
  ObjectEvent: 'observation', AggregationEvent: 'aggregation', TransactionEvent: 'transaction', TransformationEvent: 'transformation',
  AssociationEvent: 'association',
};
/** What the event does, as a word. */
const stepOf = (event) => (typeof event.bizStep === 'string' && event.bizStep !== '' ? under(local(event.bizStep))
  : Object.hasOwn(FIRST_WORDS, textOf(event.type)) ? FIRST_WORDS[event.type] : 'event');
const whenOf = (it) => clock(it.time, it.event.eventTimeZoneOffset);

/** A place with its canonical identifier and, where the event says so, the name that people call it. */
function placeIn(event, member) {
  const place = event[member];
  if (!place || typeof place !== 'object' || typeof place.id !== 'string') return null;
  const name = extension(event, place, 'name');
  return { id: canonical(place.id), name: typeof name === 'string' ? name : null };
}
const placeOf = (event) => placeIn(event, 'readPoint') ?? placeIn(event, 'bizLocation');
const named = (it) => (it ? it.name ?? label(it.id) : '');

/** The entries of a list of sources or destinations: what each is there, and its canonical identifier. */
const endsOf = (event, side) => list(event[`${side}List`]).filter((end) => typeof end?.type === 'string' && typeof end[side] === 'string')
  .map((end) => ({ kind: local(end.type), id: canonical(end[side]) }));

/** The party that recorded the event, by the same order of fields as in `ledger_traceability`. */
function partyOf(event) {
  const own = extension(event, event, 'recordedBy');
  if (typeof own === 'string') {
    const name = extension(event, event, 'recordedByName');
    return { id: canonical(own), name: typeof name === 'string' ? name : null };
  }
  const provider = member(event, 'informationProvider');
  if (typeof provider === 'string') return { id: canonical(provider), name: null };
  const sides = ARRIVALS.includes(event.bizStep) ? ['destination', 'source'] : ['source', 'destination'];
  const end = sides.map((side) => endsOf(event, side).find((it) => it.kind !== 'location')).find(Boolean);
  return end ? { id: end.id, name: null } : placeOf(event);
}
const ARRIVALS = ['receiving', 'accepting', 'arriving'];
/** The member whose name, without its prefix, is `name`. */
const member = (holder, name) => (holder && typeof holder === 'object' && !Array.isArray(holder)
  ? Object.entries(holder).find(([key]) => localName(key) === name)?.[1] : undefined);
