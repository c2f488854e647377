// The sections of the page: the lot's story, route, graph, plots and tables.

const MAX_POINTS = 300;
/** How wide a letter is at most in a drawing, on average. */
const LETTER = 8;

const section = (id, ...content) => {
  const element = $(id);
  [...element.children].slice(1).forEach((child) => child.remove());
  const filled = content.flat().filter((child) => child !== null);
  element.hidden = filled.length === 0;
  element.append(...filled);
};
const cellOf = (cell) => (cell instanceof Node && cell.nodeName === 'TD' ? cell : h('td', null, cell));
const table = (caption, heads, rows) => h(
  'div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': caption },
  h(
    'table', null, h('caption', null, caption),
    h('thead', null, h('tr', null, heads.map((head) => h('th', { scope: 'col' }, head)))),
    h('tbody', null, rows.slice(0, MAX_ROWS).map((row) => h('tr', null, row.map(cellOf)))),
  ),
  rows.length > MAX_ROWS ? h('p', null, `The first ${MAX_ROWS} of ${rows.length} rows.`) : null,
);
const isShown = ([, value]) => value !== '' && value !== null && value !== undefined;
const facts = (pairs) => h('dl', null, pairs.filter(isShown).map(([name, value]) => [
  h('dt', null, name), h('dd', null, typeof value === 'string' ? clip(value, 600) : value)]));
const link = (it, text) => h('a', { href: `#${it.id}` }, text);
const lineLink = (it) => link(it, `line ${it.number}`);
const joined = (parts, between = ', ') => parts.flatMap((part, at) => (at > 0 ? [between, part] : [part]));

function warningList({ warnings }) {
  const item = ({ it, text }) => h('li', null, `${clip(capital(text))} `, link(it, `(${clip(stepOf(it.event), 60)}, ${day(it.time)})`));
  const more = warnings.length - MAX_ROWS;
  section('warnings', warnings.length > 0 ? [h('ul', null, warnings.slice(0, MAX_ROWS).map(item))] : [],
    more > 0 ? [h('p', null, `${more} more stand with their lines.`)] : []);
}

const NAMES = { altitudeMetres: 'Altitude, m', cupScore: 'Cup score' };
function story(trace, derived, data) {
  const known = new Map();
  for (const it of derived.valid) {
    const { ilmd } = it.event;
    for (const [name, value] of Object.entries(ilmd && typeof ilmd === 'object' ? ilmd : {})) {
      if (textOf(value)) known.set(localName(name), (known.get(localName(name)) ?? new Set()).add(textOf(value)));
    }
  }
  const pairs = [['Lot', label(data.item)], ['Identifier', data.item]];
  for (const [name, values] of [...known].slice(0, 40)) {
    pairs.push([NAMES[name] ?? clip(capital(spaced(name)), 100), [...values].slice(0, 6).join('; ')]);
  }
  const scores = new Set(derived.certificates.filter((it) => it.value).map((it) => `${it.value}${it.agency ? ` (${it.agency})` : ''}`));
  if (scores.size > 0) pairs.push(['Cup score or result', [...scores].slice(0, 6).join('; ')]);
  const end = (it) => `${whenOf(it)}${placeOf(it.event) ? `, ${named(placeOf(it.event))}` : ''}`;
  if (derived.valid.length > 0) pairs.push(['From', end(derived.valid[0])], ['To', end(derived.valid.at(-1))]);
  const { current, persistent } = derived.state;
  const held = ({ disposition, it }) => [`${clip(under(disposition), 100)} since `, link(it, whenOf(it))];
  const all = [...current ? [current] : [], ...persistent].map(held);
  if (all.length > 0) pairs.push(['State now', h('span', { id: 'state' }, joined(all, '; '))]);
  const notes = new Set(derived.valid.map((it) => textOf(extension(it.event, it.event, 'note'))).filter((note) => note));
  const told = notes.size > 0 ? h('p', null, clip(`${[...notes].slice(0, 12).join('. ')}.`, 1200)) : null;
  section('story', derived.lines.length > 0 ? [facts(pairs), told] : []);
}

function route(derived) {
  const stops = [];
  for (const it of derived.valid) {
    const place = named(placeOf(it.event));
    if (!place) continue;
    if (stops.at(-1)?.place === place) stops.at(-1).events.push(it);
    else stops.push({ place, events: [it] });
  }
  const item = ({ place, events }) => {
    const [first, last] = [day(events[0].time), day(events.at(-1).time)];
    const steps = [...new Set(events.map((it) => stepOf(it.event)))].join(', ');
    const days = last !== first ? `${first} to ${last}` : first;
    return h('li', null, h('strong', null, clip(place)), h('small', null, `${days}: ${clip(steps)}`));
  };
  section('route', stops.length > 0 ? [
    h('p', null, `${plural(stops.length, 'stop')}, in the order of time; not to scale.`),
    h('ol', { class: 'route' }, stops.slice(0, MAX_ROWS).map(item)),
    stops.length > MAX_ROWS ? h('p', null, `The first ${MAX_ROWS} of them are shown.`) : null,
  ] : []);
}

/** How many steps each lot is from the origins. */
function levels(flows) {
  const level = new Map();
  for (const { from, to } of flows) [from, to].forEach((item) => level.set(item, 0));
  for (let round = 0, changed = true; changed && round < level.size; round += 1) {
    changed = false;
    for (const { from, to } of flows) {
      if (level.get(to) <= level.get(from) && level.get(from) < level.size) {
        level.set(to, level.get(from) + 1);
        changed = true;
      }
    }
  }
  return level;
}

/** Lots in rows from the origins down. */
function graph(trace, data) {
  if (trace.flows.length === 0) return section('graph');
  const level = levels(trace.flows);
  const rows = [];
  for (const [item, row] of level) (rows[row] ??= []).push(item);
  const drawn = rows.filter(Boolean).slice(0, 12).map((row) => row.slice(0, 4));
  const [width, height, place] = [340, 64, new Map()];
  const put = (row, y) => row.forEach((item, x) => {
    place.set(item, [(x + 0.5) * width / row.length, y * height + 20, Math.min(150, width / row.length - 8)]);
  });
  drawn.forEach(put);
  const page = (item) => {
    const file = data.pages?.[item];
    return typeof file === 'string' && /^[A-Za-z0-9_-]+\.html$/.test(file) && item !== data.item ? file : null;
  };
  const edges = trace.flows.filter(({ from, to }) => place.has(from) && place.has(to)).map(({ from, to }) => {
    const [[x, y], [u, v]] = [place.get(from), place.get(to)];
    return s('path', { class: 'edge', d: `M${x} ${y + 16}C${x} ${y + 40} ${u} ${v - 40} ${u} ${v - 16}` });
  });
  const boxes = [...place].map(([item, [x, y, w]]) => {
    const box = s(
      'g', null, s('title', null, label(item)),
      s('rect', { class: item === data.item ? 'box self' : 'box', x: x - w / 2, y: y - 16, width: w, height: 32, rx: 6 }),
      s('text', { x, y: y + 4, 'text-anchor': 'middle' }, brief(item, Math.floor(w / LETTER) - 1)),
    );
    return page(item) ? s('a', { href: page(item) }, box) : box;
  });
  const name = (item) => h('td', null, item === data.item ? h('strong', null, label(item))
    : page(item) ? h('a', { href: page(item) }, label(item)) : label(item));
  const described = `${level.size} lots; the table below has each step`;
  const svg = s('svg', { viewBox: `0 0 ${width} ${drawn.length * height - 20}`, role: 'img', 'aria-label': described }, edges, boxes);
  const byKey = new Map(trace.lines.map((it) => [it.key, it]));
  const step = ({ by }) => (byKey.has(by) ? link(byKey.get(by), stepOf(byKey.get(by).event)) : '');
  return section(
    'graph', h('figure', null, svg, h('figcaption', null, 'From the origins, above, down; this page\'s lot is framed.')),
    place.size < level.size ? h('p', null, `${place.size} of ${level.size} lots are drawn; the table has all.`) : null,
    table('What became of what', ['From', 'became', 'by'], trace.flows.map((flow) => [name(flow.from), name(flow.to), step(flow)])),
  );
}

/** The lowest and the highest of each stretch of time, so that no excursion is lost. */
function thin(points) {
  if (points.length <= MAX_POINTS) return points;
  const [buckets, size] = [[], Math.ceil(points.length / (MAX_POINTS / 2))];
  for (let from = 0; from < points.length; from += size) {
    const part = points.slice(from, from + size);
    const lowest = part.reduce((a, b) => (b.low < a.low ? b : a));
    const highest = part.reduce((a, b) => (b.high > a.high ? b : a));
    buckets.push(...new Set([lowest, highest].sort((a, b) => a.time - b.time)));
  }
  return buckets;
}

/** A number that has room beside an axis. */
function shown(value) {
  const size = Math.abs(value);
  return size >= 1e5 || (size > 0 && size < 1e-3) ? value.toExponential(1) : String(Number(value.toPrecision(5)));
}

/** A reading in the plot's unit. */
function pointOf(reading, unit) {
  const of = (value) => inUnit(value, reading.unit, unit);
  const middle = reading.mean?.value ?? reading.value?.value;
  const [low, high] = [of(reading.lowest), of(reading.highest)];
  return { reading, time: reading.time, low, high, mean: middle ? of(middle) : (low + high) / 2, excursion: reading.excursion };
}

function plot(readings, unit) {
  const points = readings.map((reading) => pointOf(reading, unit)).sort((a, b) => a.time - b.time);
  const drawn = thin(points);
  const limits = points.map((it) => it.reading.limit).filter(Boolean);
  const bound = (limit, side) => (limit[side] === null ? null : inUnit(limit[side], limit.unit, unit));
  let [low, high] = [Infinity, -Infinity];
  for (const it of points) [low, high] = [Math.min(low, it.low), Math.max(high, it.high)];
  const [lowest, highest] = [low, high];
  for (const limit of new Set(limits)) {
    for (const value of [bound(limit, 'low'), bound(limit, 'high')].filter((it) => it !== null)) {
      [low, high] = [Math.min(low, value), Math.max(high, value)];
    }
  }
  const pad = (high - low || Math.abs(high) || 1) * 0.1;
  [low, high] = [low - pad, high + pad];
  const [first, last] = [points[0].time, points.at(-1).time];
  const [W, H, L, B] = [340, 180, 56, 24];
  const x = (time) => L + 8 + (last > first ? (time - first) / (last - first) : 0.5) * (W - L - 20);
  const y = (value) => 8 + (1 - (value - low) / (high - low)) * (H - B - 8);
  const newest = limits.at(-1);
  const edges = newest ? [bound(newest, 'low'), bound(newest, 'high')] : [];
  const [bottom, top] = [y(edges[0] ?? low), y(edges[1] ?? high)];
  const band = newest ? [
    s('rect', { class: 'allowed', x: L, y: top, width: W - L, height: Math.max(0, bottom - top) }),
    edges.filter((value) => value !== null).map((value) => s('line', { class: 'limit', x1: L, x2: W, y1: y(value), y2: y(value) })),
  ] : [];
  const ticks = [0.1, 0.5, 0.9].map((part) => low + (high - low) * part).map((value) => [
    s('line', { class: 'axis', x1: L, x2: W, y1: y(value), y2: y(value) }),
    s('text', { x: L - 4, y: y(value) + 4, 'text-anchor': 'end' }, shown(value))]);
  const marks = drawn.map((it) => s(
    'g', { class: it.excursion ? 'reading excursion' : 'reading' },
    s('line', { class: 'range', x1: x(it.time), x2: x(it.time), y1: y(it.low), y2: y(it.high) }),
    s('circle', { class: 'mean', cx: x(it.time), cy: y(it.mean), r: 3 }),
    it.excursion ? s('text', { class: 'mark', x: x(it.time), y: Math.max(12, y(it.high) - 6), 'text-anchor': 'middle' }, '▲') : null,
  ));
  const path = drawn.map((it, place) => `${place ? 'L' : 'M'}${x(it.time).toFixed(1)} ${y(it.mean).toFixed(1)}`).join('');
  const title = `${capital(clip(spaced(readings[0].measured), 60))}${unit ? `, in${unitOf(unit)}` : ''}`;
  const out = points.filter((it) => it.excursion).length;
  const described = `${title}: ${plural(points.length, 'reading')} from ${shown(lowest)} to ${shown(highest)}, ${out} beyond their limits`;
  const svg = s(
    'svg', { viewBox: `0 0 ${W} ${H}`, role: 'img', 'aria-label': described }, band, ticks, s('path', { class: 'path', d: path }), marks,
    s('text', { x: L, y: H - 6 }, day(first)),
    last > first ? s('text', { x: W, y: H - 6, 'text-anchor': 'end' }, day(last)) : null,
  );
  const note = (it) => (it.excursion ? h('td', { class: 'over' }, it.broken ? 'beyond limits' : 'alarm')
    : it.unjudged ? 'not compared' : '');
  const rows = points.map(({ reading: it }) => [link(it.it, clock(it.time)), it.text, it.limit ? allowed(it.limit) : '', note(it)]);
  return h(
    'figure', { class: 'plot' }, svg, h('figcaption', null, captionOf(title, points, drawn, newest, out)),
    h('details', null, h('summary', null, 'As a table'), table(title, ['When', 'Measured', 'Allowed', 'Note'], rows)),
  );
}

function captionOf(title, points, drawn, newest, out) {
  const unjudged = points.filter((it) => it.reading.unjudged).length;
  const parts = [`${title}.`, newest ? `Allowed: ${allowed(newest)}.` : unjudged > 0 ? '' : 'No limits were stated.'];
  const alarms = points.some((it) => it.excursion && !it.reading.broken) ? ' or with the sensor\'s alarm' : '';
  parts.push(out === 0 ? '' : `${out} beyond ${out === 1 ? 'its' : 'their'} limits${alarms}, marked ▲.`);
  if (out === 0 && newest) parts.push('No reading beyond its limits.');
  if (unjudged > 0) parts.push(`${plural(unjudged, 'reading')} in a unit that the limits can't be held against: not compared.`);
  if (drawn.length < points.length) {
    parts.push(`${drawn.length} of ${points.length} readings are drawn: the lowest and the highest of each stretch of time.`);
  }
  return parts.filter((part) => part).join(' ');
}

/** Readings of one measure together, in one unit where theirs measure the same. */
function plots(derived) {
  const groups = [];
  for (const it of derived.measured.filter((reading) => reading.lowest !== null)) {
    const group = groups.find((found) => found.measured === it.measured && comparable(found.unit, it.unit));
    if (group) group.readings.push(it);
    else groups.push({ measured: it.measured, unit: comparable(it.unit, 'CEL') ? 'CEL' : it.unit, readings: [it] });
  }
  const order = (group) => ['Temperature', 'RelativeHumidity'].indexOf(group.measured) >>> 0;
  groups.sort((a, b) => order(a) - order(b));
  const more = groups.length - 6;
  section('plots', groups.slice(0, 6).map((group) => plot(group.readings, group.unit)),
    more > 0 ? [h('p', null, `${more} more kinds of readings stand with their events.`)] : []);
}

function certificateTable({ certificates }) {
  const valid = ({ from, until }) => (from === null && until === null ? 'not stated'
    : `${from === null ? '' : `from ${day(from)} `}${until === null ? '' : `until ${day(until)}`}`);
  const held = ({ used }) => (used ? h('td', { class: 'over' }, 'not at ', link(used, stepOf(used.event))) : 'whenever it was needed');
  const rows = certificates.map((it) => [link(it.it, clip(it.id)), it.standard, it.value, it.agency, valid(it), held(it)]);
  const heads = ['Certificate', 'Standard', 'Result', 'Issued by', 'Valid', 'Held'];
  section('certificates', rows.length > 0 ? [table('Certificates', heads, rows)] : []);
}

function deliveryTable({ deliveries }) {
  const verdict = (promised, arrival) => (!arrival ? '' : arrival.time <= promised ? 'in time'
    : h('td', { class: 'over' }, `late by ${span(promised, arrival.time)}`));
  const rows = deliveries.map(({ it, promised, arrival }) => [
    link(it, whenOf(it)), clock(promised, it.event.eventTimeZoneOffset), arrival ? link(arrival, whenOf(arrival)) : 'no receipt recorded',
    verdict(promised, arrival)]);
  section('deliveries', rows.length > 0 ? [table('Promised and actual dates', ['Shipped', 'Promised', 'Received', ''], rows)] : []);
}
