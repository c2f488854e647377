
// The page: verifies what it carries, and shows what it has verified and nothing else. All text from events becomes text nodes.
const $ = (id) => document.getElementById(id);
const SVG = 'http://www.w3.org/2000/svg';
const NAMESPACE = 'https://ns.example.com/ledgerkit/traceability/';
const MAX_POINTS = 300;
const MAX_ROWS = 200;

function make(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) if (value !== null && value !== undefined) element.setAttribute(name, value);
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ''));
  return element;
}
const h = (tag, attributes, ...children) => make(document.createElement(tag), attributes, children);
const s = (tag, attributes, ...children) => make(document.createElementNS(SVG, tag), attributes, children);
const list = (value) => (Array.isArray(value) ? value : []);
const textOf = (value) => (typeof value === 'string' ? value : typeof value === 'number' ? String(value) : '');
const local = (name) => textOf(name).split(/[:/#]/).pop();
const spaced = (name) => name.replace(/_/g, ' ').replace(/(.)([A-Z])/g, '$1 $2').toLowerCase();
const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
const clip = (text, most = 300) => (text.length > most ? `${text.slice(0, most)}…` : text);
const GS1 = 'https://id.gs1.org/';
const short = (id) => clip(id.startsWith(GS1) ? id.slice(GS1.length).split('/').map((part, at) => (at % 2 ? part : `(${part})`)).join('') : id, 120);
const brief = (id) => clip(short(id).split(/\(10\)|\(21\)|[:/]/).pop() || short(id), 18);
const few = (digest) => `${digest.slice(0, 12)}…`;
const UNITS = { KGM: ' kg', GRM: ' g', LTR: ' l', CEL: ' °C', FAH: ' °F', KEL: ' K', P1: ' %', A93: ' g/m³', MTR: ' m' };
const unit = (code) => (code ? UNITS[code] ?? ` ${code}` : '');
const bytesOf = (text) => Uint8Array.from(atob(text.replace(/\s+/g, '')), (letter) => letter.charCodeAt(0));
const inflate = async (bytes) => {
  try {
    return new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate'))).arrayBuffer());
  } catch {
    throw new Error('what is packed in the page is damaged, or this browser can\'t unpack it');
  }
};

/** `2015-05-23 11:00 +03:00`, in the event's own zone. */
function clock(time, offset = '+00:00') {
  const minutes = /^([+-])(\d\d):(\d\d)$/.exec(offset);
  const shift = minutes ? (minutes[1] === '-' ? -1 : 1) * (Number(minutes[2]) * 60 + Number(minutes[3])) : 0;
  const shifted = new Date(time + shift * 60000);
  return Number.isNaN(shifted.getTime()) ? 'a time that can\'t be read' : `${shifted.toISOString().slice(0, 16).replace('T', ' ')} ${minutes ? offset : '+00:00'}`;
}
const day = (time) => (Number.isFinite(time) ? new Date(time).toISOString().slice(0, 10) : '');
function span(ms) {
  const [count, name] = ms >= 864e5 ? [ms / 864e5, 'day'] : ms >= 36e5 ? [ms / 36e5, 'hour'] : [ms / 6e4, 'minute'];
  return `${Math.floor(count)} ${name}${Math.floor(count) === 1 ? '' : 's'}`;
}

/** The member of `holder` that the event's context binds to the traceability namespace. */
function extension(event, holder, term) {
  const contexts = [event['@context']].flat().filter((it) => it && typeof it === 'object');
  for (const [name, value] of Object.entries(holder && typeof holder === 'object' ? holder : {})) {
    const at = name.indexOf(':');
    if (name === NAMESPACE + term || (at > 0 && name.slice(at + 1) === term && contexts.some((it) => it[name.slice(0, at)] === NAMESPACE))) return value;
  }
  return undefined;
}
const placeOf = (event) => {
  const place = event.readPoint ?? event.bizLocation;
  return place && typeof place === 'object' ? textOf(extension(event, place, 'name')) || short(textOf(place.id)) : '';
};
const stepOf = (event) => spaced(local(event.bizStep) || textOf(event.type).replace(/Event$/, '') || 'event');
const party = (event) => textOf(extension(event, event, 'recordedByName')) || short(textOf(extension(event, event, 'recordedBy')));

const TO_CELSIUS = { FAH: (value) => (value - 32) / 1.8, KEL: (value) => value - 273.15, CEL: (value) => value };
const number = (value) => (typeof value === 'number' && Number.isFinite(value) ? value : null);
function readings(it) {
  const found = [];
  for (const element of list(it.event.sensorElementList)) {
    for (const report of list(element?.sensorReport)) {
      const raw = ['value', 'meanValue', 'minValue', 'maxValue'].map((name) => number(report[name])).filter((value) => value !== null);
      if (raw.length === 0 || report.type === undefined) continue;
      const measured = local(report.type);
      const convert = measured === 'Temperature' ? TO_CELSIUS[report.uom] : null;
      const values = convert ? raw.map(convert) : raw;
      const zone = it.event.eventTimeZoneOffset;
      const meta = element.sensorMetadata ?? {};
      const times = [report.time, meta.time].map((time) => instant(time, zone)).filter(Number.isFinite);
      const from = instant(meta.startTime, zone);
      const until = instant(meta.endTime, zone);
      const [mean] = [report.meanValue, report.value].map(number).filter((value) => value !== null);
      found.push({
        it, measured, unit: convert ? 'CEL' : textOf(report.uom), low: Math.min(...values), high: Math.max(...values),
        mean: mean === undefined ? (Math.min(...values) + Math.max(...values)) / 2 : convert ? convert(mean) : mean,
        time: times[0] ?? (Number.isFinite(from) && Number.isFinite(until) ? (from + until) / 2 : it.time), from, until, alarm: report.exception !== undefined,
      });
    }
  }
  return found;
}
function limitsOf(it) {
  return list(extension(it.event, it.event, 'limits')).map((limit) => {
    const convert = local(limit.type) === 'Temperature' ? TO_CELSIUS[limit.uom] : null;
    const of = (value) => (number(value) === null ? null : convert ? convert(value) : value);
    return { measured: local(limit.type), unit: convert ? 'CEL' : textOf(limit.uom), low: of(limit.minValue), high: of(limit.maxValue) };
  });
}
const shown = (value) => String(Math.round(value * 100) / 100);
const range = (it) => `${it.low < it.high ? `${shown(it.low)} to ` : ''}${shown(it.high)}${unit(it.unit)}`;
const allowed = (limit) => `${limit.low === null ? 'at most ' : limit.high === null ? 'at least ' : `${shown(limit.low)} to `}${shown(limit.high ?? limit.low)}${unit(limit.unit)}`;
const breaks = (limit, it) => limit.measured === it.measured && limit.unit === it.unit && ((limit.low !== null && it.low < limit.low) || (limit.high !== null && it.high > limit.high));

function certificatesOf(it) {
  const named = (holder, name) => (holder && typeof holder === 'object' ? Object.entries(holder).find(([key]) => local(key) === name)?.[1] : undefined);
  const holders = [it.event, it.event.ilmd].map((holder) => named(holder, 'certificationList')).filter((found) => found !== undefined);
  const entries = holders.flatMap((found) => [named(found, 'certification') ?? found].flat());
  const zone = it.event.eventTimeZoneOffset;
  const when = (entry, names) => names.map((name) => instant(named(entry, name), zone)).find(Number.isFinite) ?? null;
  const found = entries.map((entry) => ({
    it, id: textOf(named(entry, 'certificationIdentification')) || textOf(named(entry, 'certificationValue')), standard: textOf(named(entry, 'certificationStandard')),
    agency: textOf(named(entry, 'certificationAgency')), value: textOf(named(entry, 'certificationValue')),
    from: when(entry, ['certificationEffectiveStartDateTime', 'certificationStartDate']), until: when(entry, ['certificationEffectiveEndDateTime', 'certificationEndDate']),
  })).filter((entry) => entry.id);
  if (found.length > 0) return found;
  return [it.event.certificationInfo ?? []].flat().filter((uri) => typeof uri === 'string').map((uri) => ({ it, id: uri, standard: '', agency: '', value: '', from: null, until: null }));
}

const itemsIn = (it, role) => it.roles.filter((entry) => entry.role === role).map((entry) => entry.item);
const ARRIVALS = ['receiving', 'accepting', 'arriving'];

/** What follows from all lines together; only made of lines that hold. */
function derive(trace) {
  const lines = trace.lines.filter((it) => !it.error && it.included).sort((a, b) => a.time - b.time || (a.key < b.key ? -1 : 1));
  const warnings = [];
  const warn = (it, text) => warnings.push({ it, text });
  const stated = new Map();
  const measured = [];
  for (const it of lines) {
    let limits = limitsOf(it);
    const items = it.roles.map((entry) => entry.item);
    if (limits.length > 0) items.forEach((item) => stated.set(item, limits));
    else limits = items.map((item) => stated.get(item)).find((found) => found) ?? [];
    const broken = new Map();
    for (const reading of readings(it)) {
      reading.limit = limits.find((limit) => limit.measured === reading.measured && limit.unit === reading.unit) ?? null;
      const limit = limits.find((candidate) => breaks(candidate, reading));
      reading.excursion = Boolean(limit) || reading.alarm;
      if (reading.excursion) broken.set(reading.measured, [...(broken.get(reading.measured) ?? []), { ...reading, limit }]);
      measured.push(reading);
    }
    for (const [name, found] of broken) {
      const all = { low: Math.min(...found.map((one) => one.low)), high: Math.max(...found.map((one) => one.high)), unit: found[0].unit };
      const limit = found.find((one) => one.limit)?.limit;
      warn(it, `${capital(spaced(name))} ${range(all)}${limit ? `, allowed ${allowed(limit)}` : ': the sensor raised an alarm'}${found.length > 1 ? ` (${found.length} readings)` : ''}`);
    }
  }
  const deliveries = [];
  for (const it of lines) {
    const promised = instant(extension(it.event, it.event, 'promised'), it.event.eventTimeZoneOffset);
    if (!Number.isFinite(promised)) continue;
    const goods = itemsIn(it, 'subject');
    const arrival = lines.find((other) => ARRIVALS.includes(local(other.event.bizStep)) && other.time >= it.time && itemsIn(other, 'subject').some((item) => goods.includes(item)));
    deliveries.push({ it, promised, arrival });
    if (arrival && arrival.time > promised) warn(it, `Received ${span(arrival.time - promised)} after the promised time`);
  }
  const certificates = lines.flatMap(certificatesOf);
  for (const certificate of certificates) {
    const covered = new Set(certificate.it.roles.map((entry) => entry.item));
    for (let before = -1; before !== covered.size;) {
      before = covered.size;
      trace.flows.filter((flow) => covered.has(flow.from)).forEach((flow) => covered.add(flow.to));
    }
    const used = lines.find((other) => other.time >= certificate.it.time && other.roles.some((entry) => covered.has(entry.item))
      && ((certificate.until !== null && other.time > certificate.until) || (certificate.from !== null && other.time < certificate.from)));
    if (used && certificate.until !== null && used.time > certificate.until) warn(used, `Certificate ${certificate.id} expired ${span(used.time - certificate.until)} before this ${stepOf(used.event)}`);
    else if (used) warn(used, `Certificate ${certificate.id} did not hold yet at this ${stepOf(used.event)}`);
    certificate.used = used;
  }
  const alive = (it) => it.wrong === null && it.event.errorDeclaration === undefined;
  for (const item of trace.items.values()) {
    const used = [...new Set(item.links.filter((link) => link.role === 'input').map((link) => link.event))].map((key) => trace.lines.find((it) => it.key === key)).filter((it) => it && alive(it));
    const first = used.filter((it) => it.included).sort((a, b) => a.time - b.time)[0];
    if (first && used.length > 1) warn(first, `Split: ${short(item.item)} went into ${used.length} transformations`);
  }
  for (const it of lines) {
    const inputs = new Set(itemsIn(it, 'input'));
    if (it.event.type === 'TransformationEvent' && inputs.size > 1) warn(it, `Blend of ${inputs.size}: ${[...inputs].slice(0, 4).map(short).join(', ')}${inputs.size > 4 ? ' and others' : ''}`);
    if (it.wrong !== null) warn(it, 'Declared wrong by the party that recorded it');
    if (it.event.errorDeclaration !== undefined) {
      const corrected = list(it.event.errorDeclaration?.correctiveEventIDs).map(textOf).join(', ');
      warn(it, `Declares an earlier record with this ID wrong${corrected ? `; corrected by ${clip(corrected)}` : ''}`);
    }
  }
  warnings.sort((a, b) => a.it.time - b.it.time);
  return { lines, warnings, measured, deliveries, certificates };
}

const section = (id, ...content) => {
  const element = $(id);
  [...element.children].slice(1).forEach((child) => child.remove());
  const filled = content.flat().filter((child) => child !== null);
  element.hidden = filled.length === 0;
  element.append(...filled);
};
const table = (caption, heads, rows) => h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': caption }, h('table', null,
  h('caption', null, caption), h('thead', null, h('tr', null, heads.map((head) => h('th', { scope: 'col' }, head)))),
  h('tbody', null, rows.slice(0, MAX_ROWS).map((row) => h('tr', null, row.map((cell) => (cell instanceof Node && cell.nodeName === 'TD' ? cell : h('td', null, cell)))))),
), rows.length > MAX_ROWS ? h('p', null, `The first ${MAX_ROWS} of ${rows.length} rows.`) : null);
const facts = (pairs) => h('dl', null, pairs.filter(([, value]) => value !== '' && value !== null && value !== undefined).map(([name, value]) => [h('dt', null, name), h('dd', null, typeof value === 'string' ? clip(value, 2000) : value)]));
const link = (it, label) => h('a', { href: `#${it.id}` }, label);

function story(trace, derived, data) {
  const pairs = [['Lot', short(data.item)], ['Identifier', data.item]];
  const of = (it) => Object.entries(it.event.ilmd && typeof it.event.ilmd === 'object' ? it.event.ilmd : {}).map(([name, value]) => [local(name), textOf(value)]).filter(([, value]) => value);
  const known = new Map();
  const NAMES = { altitudeMetres: 'Altitude, m', cupScore: 'Cup score' };
  for (const it of derived.lines) {
    for (const [name, value] of of(it)) {
      const values = known.get(name) ?? new Set();
      known.set(name, values.add(value));
    }
  }
  for (const [name, values] of [...known].slice(0, 40)) pairs.push([NAMES[name] ?? capital(spaced(name)), [...values].slice(0, 6).join('; ')]);
  const scores = new Set(derived.certificates.filter((it) => it.value).map((it) => `${it.value}${it.agency ? ` (${it.agency})` : ''}`));
  if (scores.size > 0) pairs.push(['Cup score or result', [...scores].slice(0, 6).join('; ')]);
  const notes = derived.lines.map((it) => textOf(extension(it.event, it.event, 'note'))).filter((note) => note);
  const [first, last] = [derived.lines[0], derived.lines.at(-1)];
  if (first) pairs.push(['From', `${clock(first.time, first.event.eventTimeZoneOffset)}${placeOf(first.event) ? `, ${placeOf(first.event)}` : ''}`], ['To', `${clock(last.time, last.event.eventTimeZoneOffset)}${placeOf(last.event) ? `, ${placeOf(last.event)}` : ''}`]);
  section('story', derived.lines.length > 0 ? [facts(pairs), notes.length > 0 ? h('p', null, clip(`${[...new Set(notes)].slice(0, 12).join('. ')}.`, 1200)) : null] : []);
}

function route(derived) {
  const stops = [];
  for (const it of derived.lines) {
    const place = placeOf(it.event);
    if (!place) continue;
    if (stops.at(-1)?.place === place) stops.at(-1).events.push(it);
    else stops.push({ place, events: [it] });
  }
  const item = ({ place, events }) => h('li', null, h('strong', null, clip(place)), h('small', null, `${day(events[0].time)}${events.length > 1 && day(events.at(-1).time) !== day(events[0].time) ? ` to ${day(events.at(-1).time)}` : ''}: ${clip([...new Set(events.map((it) => stepOf(it.event)))].join(', '))}`));
  section('route', stops.length > 0 ? [h('p', null, `${stops.length} stop${stops.length === 1 ? '' : 's'}, in the order of time; not to scale.`), h('ol', { class: 'route' }, stops.slice(0, MAX_ROWS).map(item)), stops.length > MAX_ROWS ? h('p', null, `The first ${MAX_ROWS} of them are shown.`) : null] : []);
}

/** Lots in rows from the origins down. */
function graph(trace, data) {
  if (trace.flows.length === 0) return section('graph');
  const level = new Map();
  for (const { from, to } of trace.flows) [from, to].forEach((item) => level.set(item, 0));
  for (let round = 0, changed = true; changed && round < level.size; round += 1) {
    changed = false;
    for (const { from, to } of trace.flows) if (level.get(to) <= level.get(from) && level.get(from) < level.size) { level.set(to, level.get(from) + 1); changed = true; }
  }
  const rows = [];
  for (const [item, at] of level) (rows[at] ??= []).push(item);
  const drawn = rows.filter(Boolean).slice(0, 12).map((row) => row.slice(0, 4));
  const [width, height, place] = [340, 64, new Map()];
  drawn.forEach((row, y) => row.forEach((item, x) => place.set(item, [(x + 0.5) * width / row.length, y * height + 20, Math.min(150, width / row.length - 8)])));
  const page = (item) => (typeof data.pages?.[item] === 'string' && /^[A-Za-z0-9_-]+\.html$/.test(data.pages[item]) ? data.pages[item] : null);
  const edges = trace.flows.filter(({ from, to }) => place.has(from) && place.has(to)).map(({ from, to }) => {
    const [[x, y], [u, v]] = [place.get(from), place.get(to)];
    return s('path', { class: 'edge', d: `M${x} ${y + 16}C${x} ${y + 40} ${u} ${v - 40} ${u} ${v - 16}` });
  });
  const boxes = [...place].map(([item, [x, y, w]]) => {
    const box = s('g', null, s('title', null, short(item)), s('rect', { class: item === data.item ? 'box self' : 'box', x: x - w / 2, y: y - 16, width: w, height: 32, rx: 6 }), s('text', { x, y: y + 4, 'text-anchor': 'middle' }, brief(item)));
    return page(item) && item !== data.item ? s('a', { href: page(item) }, box) : box;
  });
  const named = (item) => h('td', null, item === data.item ? h('strong', null, short(item)) : page(item) ? h('a', { href: page(item) }, short(item)) : short(item));
  const svg = s('svg', { viewBox: `0 0 ${width} ${drawn.length * height - 20}`, role: 'img', 'aria-label': `${level.size} lots; the table below has each step` }, edges, boxes);
  const cut = place.size < level.size ? h('p', null, `${place.size} of ${level.size} lots are drawn; the table has all.`) : null;
  return section('graph', h('figure', null, svg, h('figcaption', null, 'From the origins, above, down; this page\'s lot is framed.')), cut,
    table('What became of what', ['From', 'became', 'by'], trace.flows.map((flow) => [named(flow.from), named(flow.to), (() => { const it = trace.lines.find((line) => line.key === flow.by); return it ? link(it, stepOf(it.event)) : ''; })()])));
}

/** The lowest and the highest of each stretch of time, so that no excursion is lost. */
function thin(points) {
  if (points.length <= MAX_POINTS) return points;
  const [buckets, size] = [[], Math.ceil(points.length / (MAX_POINTS / 2))];
  for (let at = 0; at < points.length; at += size) {
    const part = points.slice(at, at + size);
    const lowest = part.reduce((a, b) => (b.low < a.low ? b : a));
    const highest = part.reduce((a, b) => (b.high > a.high ? b : a));
    buckets.push(...new Set([lowest, highest].sort((a, b) => a.time - b.time)));
  }
  return buckets;
}

function plot(points, name, code) {
  points.sort((a, b) => a.time - b.time);
  const drawn = thin(points);
  const limits = points.map((it) => it.limit).filter(Boolean);
  const bounds = limits.flatMap((limit) => [limit.low, limit.high]).filter((value) => value !== null);
  let [low, high] = [Infinity, -Infinity];
  for (const it of points) [low, high] = [Math.min(low, it.low), Math.max(high, it.high)];
  for (const value of bounds) [low, high] = [Math.min(low, value), Math.max(high, value)];
  const pad = (high - low || Math.abs(high) || 1) * 0.1;
  [low, high] = [low - pad, high + pad];
  const [first, last] = [points[0].time, points.at(-1).time];
  const [W, H, L, B] = [340, 180, 44, 24];
  const x = (time) => L + 8 + (last > first ? (time - first) / (last - first) : 0.5) * (W - L - 20);
  const y = (value) => 8 + (1 - (value - low) / (high - low)) * (H - B - 8);
  const newest = limits.at(-1);
  const band = newest ? [s('rect', { class: 'allowed', x: L, y: y(newest.high ?? high), width: W - L, height: Math.max(0, y(newest.low ?? low) - y(newest.high ?? high)) }),
    ...[newest.low, newest.high].filter((value) => value !== null).map((value) => s('line', { class: 'limit', x1: L, x2: W, y1: y(value), y2: y(value) }))] : [];
  const ticks = [0.1, 0.5, 0.9].map((part) => low + (high - low) * part);
  const marks = drawn.map((it) => s('g', { class: it.excursion ? 'reading excursion' : 'reading' },
    s('line', { class: 'range', x1: x(it.time), x2: x(it.time), y1: y(it.low), y2: y(it.high) }), s('circle', { class: 'mean', cx: x(it.time), cy: y(it.mean), r: 3 }),
    it.excursion ? s('text', { class: 'mark', x: x(it.time), y: Math.max(12, y(it.high) - 6), 'text-anchor': 'middle' }, '▲') : null));
  const title = `${capital(spaced(name))}${code ? `, in${unit(code)}` : ''}`;
  const out = points.filter((it) => it.excursion).length;
  const svg = s('svg', { viewBox: `0 0 ${W} ${H}`, role: 'img', 'aria-label': `${title}: ${points.length} readings from ${shown(Math.min(...drawn.map((it) => it.low)))} to ${shown(Math.max(...drawn.map((it) => it.high)))}, ${out} beyond their limits` },
    band, ticks.map((value) => [s('line', { class: 'axis', x1: L, x2: W, y1: y(value), y2: y(value) }), s('text', { x: L - 4, y: y(value) + 4, 'text-anchor': 'end' }, shown(value))]),
    s('path', { class: 'path', d: drawn.map((it, at) => `${at ? 'L' : 'M'}${x(it.time).toFixed(1)} ${y(it.mean).toFixed(1)}`).join('') }), marks,
    s('text', { x: L, y: H - 6 }, day(first)), last > first ? s('text', { x: W, y: H - 6, 'text-anchor': 'end' }, day(last)) : null);
  const caption = `${title}. ${newest ? `Allowed: ${allowed(newest)}. ` : 'No limits were stated. '}${out === 0 ? 'No reading beyond its limits.' : `${out} beyond ${out === 1 ? 'its' : 'their'} limits, marked ▲.`}${drawn.length < points.length ? ` ${drawn.length} of ${points.length} readings are drawn: the lowest and the highest of each stretch of time.` : ''}`;
  const rows = points.map((it) => [link(it.it, clock(it.time)), `${range(it)}`, it.limit ? allowed(it.limit) : '', it.excursion ? h('td', { class: 'over' }, 'beyond limits') : '']);
  return h('figure', { class: 'plot' }, svg, h('figcaption', null, caption), h('details', null, h('summary', null, 'As a table'), table(title, ['When', 'Measured', 'Allowed', 'Note'], rows)));
}

function plots(derived) {
  const groups = new Map();
  for (const it of derived.measured) {
    const id = JSON.stringify([it.measured, it.unit]);
    groups.set(id, [...(groups.get(id) ?? []), it]);
  }
  const order = (id) => ['Temperature', 'RelativeHumidity'].indexOf(JSON.parse(id)[0]) >>> 0;
  const sorted = [...groups].sort(([a], [b]) => order(a) - order(b));
  section('plots', sorted.slice(0, 6).map(([id, points]) => plot(points, ...JSON.parse(id))), sorted.length > 6 ? [h('p', null, `${sorted.length - 6} more kinds of readings stand with their events.`)] : []);
}

function tables(derived) {
  const valid = (it) => (it.from === null && it.until === null ? 'not stated' : `${it.from === null ? '' : `from ${day(it.from)} `}${it.until === null ? '' : `until ${day(it.until)}`}`);
  section('certificates', derived.certificates.length > 0 ? [table('Certificates', ['Certificate', 'Standard', 'Result', 'Issued by', 'Valid', 'Held'], derived.certificates.map((it) => [
    link(it.it, it.id), it.standard, it.value, it.agency, valid(it), it.used ? h('td', { class: 'over' }, 'not at ', link(it.used, stepOf(it.used.event))) : 'whenever it was needed']))] : []);
  section('deliveries', derived.deliveries.length > 0 ? [table('Promised and actual dates', ['Shipped', 'Promised', 'Received', ''], derived.deliveries.map(({ it, promised, arrival }) => [
    link(it, clock(it.time, it.event.eventTimeZoneOffset)), clock(promised, it.event.eventTimeZoneOffset), arrival ? link(arrival, clock(arrival.time, arrival.event.eventTimeZoneOffset)) : 'no receipt recorded',
    arrival && arrival.time > promised ? h('td', { class: 'over' }, `late by ${span(arrival.time - promised)}`) : arrival ? 'in time' : '']))] : []);
}

function amounts(event) {
  const of = (quantities, singles) => [...list(event[singles]).map((id) => short(textOf(id))), ...list(event[quantities]).map((it) => `${textOf(it?.quantity)}${it?.quantity === undefined ? '' : `${unit(it.uom)} of `}${short(textOf(it?.epcClass))}`)].slice(0, 30).join(', ');
  return [['What', of('quantityList', 'epcList')], ['From', of('inputQuantityList', 'inputEPCList')], ['Made', of('outputQuantityList', 'outputEPCList')], ['Inside', of('childQuantityList', 'childEPCs')], ['Container', event.parentID ? short(textOf(event.parentID)) : '']];
}

function showLine(element, it, trace, derived, own) {
  element.querySelector('.shown').replaceChildren();
  element.classList.remove('good', 'bad', 'aside');
  const [shownBox, proof] = [element.querySelector('.shown'), h('p', { class: 'proof' })];
  if (it.error) {
    element.classList.add('bad');
    proof.append(`✗ Not proven: ${it.error}. What is shown here is not what was signed and recorded, or its proof was changed.`);
    shownBox.append(h('h3', null, 'A line that does not hold'), proof);
    return;
  }
  const { event } = it;
  element.classList.add('good');
  if (!it.included) element.classList.add('aside');
  shownBox.append(h('h3', null, h('time', { datetime: new Date(it.time).toISOString() }, clock(it.time, event.eventTimeZoneOffset)), ` ${capital(clip(stepOf(event), 60))}${it.included ? '' : ' (not part of this lot\'s history)'}`));
  derived.warnings.filter((warning) => warning.it === it).forEach((warning) => shownBox.append(h('p', { class: 'warning' }, `! ${warning.text}`)));
  const sensors = readings(it).slice(0, 12).map((reading) => `${spaced(reading.measured)} ${range(reading)}`).join(', ');
  const ends = (name, side) => list(event[name]).map((end) => `${spaced(local(end?.type))} ${short(textOf(end?.[side]))}`).slice(0, 6).join(', ');
  shownBox.append(facts([['Where', placeOf(event)], ['Who', party(event)], ...amounts(event), ['State', spaced(local(event.disposition))], ['Note', textOf(extension(event, event, 'note'))], ['Sensors', sensors + (readings(it).length > 12 ? ` and ${readings(it).length - 12} more` : '')],
    ['Sources', ends('sourceList', 'source')], ['Destinations', ends('destinationList', 'destination')]]));
  proof.append(`✓ Proven: recorded in block ${it.place.height} as transaction ${it.place.index}, signed by key ${few(it.signedBy)} of account ${few(it.recorder)}, in the state that the checkpoint at block ${trace.checkpoint.height} commits to${own ? ' (trust root: the page\'s own word)' : ''}.`);
  shownBox.append(proof);
}

function evidence(trace, root, own, took) {
  const { checkpoint } = trace;
  const code = trace.code ? (trace.code.runtime === 'native' ? 'linked into the nodes as “traceability”' : `a WebAssembly module of ${trace.code.bytes.length} bytes`) : '';
  $('evidence-shown').replaceChildren(facts([
    ['Trust root', own ? 'the page\'s own word' : 'given by you'], ['Chain', checkpoint ? `${checkpoint.name}, ${checkpoint.chain}` : ''], ['Checkpoint', checkpoint ? `block ${checkpoint.height}, ${clock(Number(checkpoint.timestamp))}, ${checkpoint.digest}` : trace.error],
    ['Signed by', checkpoint ? h('ul', null, checkpoint.signed_by.map((key) => h('li', null, h('code', null, key)))) : ''], ['Contract', trace.contract ?? ''], ['Its code', code], ['Deployed by', trace.code ? `account ${trace.code.deployer}` : ''],
    ['Complete', trace.faults.length === 0 ? `yes: of each of ${trace.items.size} lots and containers that the history needs, all events are here` : clip(`no: ${trace.faults.slice(0, 5).join('; ')}`, 1500)], ['Took', `${took.toFixed(0)} ms`]]));
}

async function main() {
  const began = performance.now();
  const verdict = $('verdict');
  const say = (kind, text) => { verdict.className = kind; verdict.textContent = text; };
  try {
    const data = JSON.parse($('trace-data').textContent);
    const lines = [...document.querySelectorAll('#events > .line')];
    // Whatever else stood in a line would be nobody's signed word.
    const plain = (line) => line.textContent.replace(line.querySelector('pre.signed')?.textContent ?? '', '').trim() === 'The JSON that was signed';
    const foreign = lines.map((line) => !plain(line));
    const events = lines.map((line) => new TextEncoder().encode(line.querySelector('pre.signed')?.textContent ?? ''));
    const verifier = await load(await inflate(bytesOf($('trace-verifier').textContent)));
    const parts = { checkpoint: bytesOf(data.checkpoint), pieces: readPieces(await inflate(bytesOf(data.proofs))), item: data.item, events };
    const ownRoot = bytesOf(data.trust_root);
    const show = (trustRoot, own) => {
      const start = own ? began : performance.now();
      const trace = checkTrace(verifier, { ...parts, trustRoot });
      const took = performance.now() - start;
      foreign.forEach((is, at) => {
        if (!is) return;
        trace.lines[at] = { error: 'something stands in this line that was not signed' };
        trace.holds = false;
      });
      const derived = derive(trace);
      trace.lines.forEach((it, at) => { it.id = lines[at].id; });
      lines.forEach((line, at) => showLine(line, trace.lines[at], trace, derived, own));
      const title = `The history of ${short(data.item)}`;
      $('title').textContent = title;
      document.title = title;
      section('warnings', derived.warnings.length > 0 ? [h('ul', null, derived.warnings.slice(0, MAX_ROWS).map(({ it, text }) => h('li', null, `${text} `, link(it, `(${stepOf(it.event)}, ${day(it.time)})`))))] : []);
      story(trace, derived, data);
      route(derived);
      graph(trace, data);
      plots(derived);
      tables(derived);
      evidence(trace, trustRoot, own, took);
      const failed = trace.lines.filter((it) => it.error).length;
      if (trace.error) say('bad', `NOT VERIFIED: ${trace.error}.`);
      else if (failed > 0) say('bad', `NOT VERIFIED: ${failed} of ${lines.length} lines do not hold; they are marked red. What is said of all lines together leaves them out.`);
      else if (!trace.holds) say('bad', `NOT VERIFIED: something is left out: ${clip(trace.faults[0])}.`);
      else if (own) say('own', `All ${lines.length} lines verified, none left out, against the checkpoint at block ${trace.checkpoint.height}. The trust root is the page's own word: give one that you trust below.`);
      else say('good', `All ${lines.length} lines verified, none left out, against the checkpoint at block ${trace.checkpoint.height}, from the trust root that you gave.`);
      $('contents').replaceChildren(h('ul', null, [...document.querySelectorAll('main > section')].filter((it) => !it.hidden).map((it) => h('li', null, h('a', { href: `#${it.id}` }, it.querySelector('h2').textContent)))));
      document.documentElement.dataset.verified = String(trace.holds);
      document.documentElement.dataset.took = took.toFixed(1);
    };
    $('trust').addEventListener('submit', async (submitted) => {
      submitted.preventDefault();
      try {
        const [file] = $('trust-file').files;
        show(file ? new Uint8Array(await file.arrayBuffer()) : bytesOf($('trust-text').value), false);
      } catch (error) {
        say('bad', `NOT VERIFIED: the trust root can't be read: ${error.message}`);
      }
      verdict.scrollIntoView();
    });
    $('trust-own').addEventListener('click', () => show(ownRoot, true));
    const file = { format: 'ledgerkit trace 1', ...data, events: lines.map((line) => line.querySelector('pre.signed').textContent) };
    const download = (name, bytes, type) => h('a', { href: URL.createObjectURL(new Blob([bytes], { type })), download: name }, name);
    $('downloads').replaceChildren(download('trace.json', JSON.stringify(file), 'application/json'), ' ', download('checkpoint.bin', parts.checkpoint), ' ', download('trust-root.bin', ownRoot));
    show(ownRoot, true);
  } catch (error) {
    say('bad', `NOT VERIFIED: ${error.message}`);
    document.documentElement.dataset.verified = 'false';
    document.querySelectorAll('#events > .line').forEach((line) => {
      line.classList.add('bad');
      line.querySelector('.shown')?.replaceChildren(h('p', { class: 'proof' }, `✗ Not proven: the page's proofs can't be read: ${error.message}`));
    });
  }
}
await main();
