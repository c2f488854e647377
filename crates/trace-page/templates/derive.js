// What follows from all lines together, made only of lines that hold: the same as `ledger_traceability::timeline` makes of the same proofs.

const inTime = (a, b) => a.time - b.time || (a.key < b.key ? -1 : 1);
const isWithdrawn = (it) => it.wrong !== null || it.event.errorDeclaration !== undefined;
const itemsIn = (it, role) => it.roles.filter((entry) => entry.role === role).map((entry) => entry.item);

/** Kinds of warnings, in the order in which a line has them. */
const [EXCURSION, LATE, CERTIFICATE, SPLIT, BLEND, DECLARED_WRONG, DISPUTED, IDENTIFIER, SAME_ID, SIGNERS] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];

function derive(trace) {
  const lines = trace.lines.filter((it) => !it.error && it.included).sort(inTime);
  const state = standing(lines, trace);
  // What was declared wrong says nothing of the lot any more, and its declaration says nothing of it either.
  const valid = lines.filter((it) => !isWithdrawn(it));
  const warnings = [];
  const warn = (kind, it, text) => warnings.push({ kind, it, text });
  const measured = excursions(valid, warn);
  const deliveries = late(valid, warn);
  const certificates = certified(valid, trace, warn);
  splits(trace, warn);
  blends(valid, warn);
  declaredWrong(lines, warn);
  identifiers(valid, warn);
  sameIds(valid, warn);
  signers(lines, warn);
  const order = new Map(lines.map((it, place) => [it, place]));
  warnings.sort((a, b) => order.get(a.it) - order.get(b.it) || a.kind - b.kind);
  return { lines, valid, state, warnings, measured, deliveries, certificates };
}

/** Whether each line stands, what corrects those that don't, and the lot's condition after each line and at the end. */
function standing(lines, trace) {
  const byId = new Map();
  for (const it of lines.filter((line) => line.event.errorDeclaration === undefined)) {
    if (typeof it.event.eventID === 'string' && !byId.has(it.event.eventID)) byId.set(it.event.eventID, it);
  }
  const byKey = new Map(trace.lines.filter((it) => !it.error).map((it) => [it.key, it]));
  const rightOf = (it) => list(it.event.errorDeclaration.correctiveEventIDs).filter((id) => typeof id === 'string')
    .map((id) => ({ id, it: byId.get(id) ?? null }));
  for (const it of lines) it.corrects = [];
  for (const it of lines) {
    it.about = byKey.get(it.declares) ?? null;
    it.by = byKey.get(it.wrong) ?? null;
    it.disputedBy = it.disputed.map((key) => byKey.get(key));
    const declaration = it.event.errorDeclaration !== undefined ? it : it.by;
    it.instead = declaration ? rightOf(declaration) : [];
    if (it.by) it.instead.forEach((right) => right.it?.corrects.push(it));
  }
  const state = { current: null, persistent: new Map() };
  for (const it of lines) {
    it.state = null;
    if (!trace.own.has(it.key) || isWithdrawn(it)) continue;
    follow(state, it);
    it.state = { current: state.current, persistent: inOrder(state.persistent) };
  }
  return { current: state.current, persistent: inOrder(state.persistent) };
}
const inOrder = (persistent) => [...persistent.values()].sort((a, b) => (a.disposition < b.disposition ? -1 : 1));

/** The condition after the line. */
function follow(state, it) {
  const { disposition, persistentDisposition: persistent } = it.event;
  const words = (name) => list(persistent?.[name]).filter((word) => typeof word === 'string').map(localName);
  const held = (word) => ({ disposition: word, it });
  const word = typeof disposition === 'string' && disposition !== '' ? localName(disposition) : null;
  // The same one again doesn't begin anew.
  if (word !== null && state.current?.disposition !== word) state.current = held(word);
  words('unset').forEach((unset) => state.persistent.delete(unset));
  words('set').filter((set) => !state.persistent.has(set)).forEach((set) => state.persistent.set(set, held(set)));
}

/** An event without limits of its own is held to the last ones that were stated for one of its items. */
function excursions(lines, warn) {
  const stated = new Map();
  const measured = [];
  for (const it of lines) {
    const items = it.roles.map((entry) => entry.item);
    let limits = limitsOf(it);
    if (limits.length > 0) items.forEach((item) => stated.set(item, limits));
    else limits = items.map((item) => stated.get(item)).find(Boolean) ?? [];
    const beyond = new Map();
    it.readings = readingsOf(it);
    for (const reading of it.readings) {
      const broken = limits.findIndex((limit) => breaks(limit, reading));
      reading.limit = limits[broken] ?? limits.find((limit) => judged(limit, reading)) ?? null;
      reading.unjudged = reading.limit === null && limits.some((limit) => limit.measured === reading.measured);
      reading.broken = broken >= 0;
      reading.excursion = reading.broken || reading.exception !== null;
      measured.push(reading);
      if (!reading.excursion) continue;
      const id = JSON.stringify([reading.measured, reading.unit, broken, broken >= 0 ? '' : reading.exception]);
      const found = beyond.get(id) ?? { first: reading, limit: limits[broken], count: 0, lowest: null, highest: null };
      found.count += 1;
      if (reading.lowest && (!found.lowest || lower(reading.lowest, found.lowest))) found.lowest = reading.lowest;
      if (reading.highest && (!found.highest || lower(found.highest, reading.highest))) found.highest = reading.highest;
      beyond.set(id, found);
    }
    for (const found of beyond.values()) warn(EXCURSION, it, excursionText(found));
  }
  return measured;
}

function excursionText({ first, limit, count, lowest, highest }) {
  let range = first.text;
  if (count > 1) {
    const [low, high] = [lowest, highest].map((value) => (value ? decimalText(value) : ''));
    range = `${lowest ? `${low === high ? low : `${low} to ${high}`}${unitOf(first.unit)}` : 'no value'} in ${count} readings`;
  }
  const why = limit ? `, allowed ${allowed(limit)}`
    : first.exception === 'ERROR_CONDITION' ? ': the sensor reported an error of its own' : ': the sensor raised an alarm';
  return `${spaced(first.measured)} ${range}${why}`;
}

function late(lines, warn) {
  const deliveries = [];
  for (const it of lines) {
    const promised = instant(extension(it.event, it.event, 'promised'), it.event.eventTimeZoneOffset);
    if (!Number.isFinite(promised)) continue;
    const goods = new Set(itemsIn(it, 'subject'));
    const arrives = (other) => ARRIVALS.includes(other.event.bizStep) && other.time >= it.time;
    const arrival = lines.find((other) => arrives(other) && itemsIn(other, 'subject').some((item) => goods.has(item)));
    deliveries.push({ it, promised, arrival });
    if (arrival && arrival.time > promised) warn(LATE, it, `received ${span(promised, arrival.time)} after the promised time`);
  }
  return deliveries;
}

/** The certificates that an event refers to: those with details, then those of the URIs in `certificationInfo` that none of them has. */
function certificatesOf(it) {
  const { event } = it;
  const zone = event.eventTimeZoneOffset;
  const text = (entry, name) => (typeof member(entry, name) === 'string' ? member(entry, name) : null);
  const when = (entry, names) => names.map((name) => instant(text(entry, name), zone)).find(Number.isFinite) ?? null;
  const lists = [event, event.ilmd].map((holder) => member(holder, 'certificationList')).filter((found) => found !== undefined);
  const found = lists.flatMap((entry) => [member(entry, 'certification') ?? entry].flat()).map((entry) => ({
    it, id: text(entry, 'certificationIdentification') ?? text(entry, 'certificationValue'), uri: text(entry, 'certificationURI'),
    standard: text(entry, 'certificationStandard'), agency: text(entry, 'certificationAgency'), value: text(entry, 'certificationValue'),
    from: when(entry, ['certificationEffectiveStartDateTime', 'certificationStartDate']),
    until: when(entry, ['certificationEffectiveEndDateTime', 'certificationEndDate']),
  })).filter((entry) => entry.id !== null);
  for (const uri of [event.certificationInfo ?? []].flat().filter((info) => typeof info === 'string')) {
    if (found.some((entry) => entry.id === uri || entry.uri === uri)) continue;
    found.push({ it, id: uri, uri, standard: null, agency: null, value: null, from: null, until: null });
  }
  return found;
}

/** For each certificate the first event at which it didn't hold, of the items it was given for and of what they became. */
function certified(lines, trace, warn) {
  const certificates = lines.flatMap(certificatesOf);
  for (const certificate of certificates) {
    const { it, from, until, id } = certificate;
    const covered = new Set(it.roles.map((entry) => entry.item));
    for (let before = -1; before !== covered.size;) {
      before = covered.size;
      trace.flows.filter((flow) => covered.has(flow.from)).forEach((flow) => covered.add(flow.to));
    }
    const held = (time) => (from === null || from <= time) && (until === null || time <= until);
    const used = lines.find((other) => other.time >= it.time && !held(other.time) && other.roles.some((entry) => covered.has(entry.item)));
    certificate.used = used;
    if (!used) continue;
    const expired = until !== null && until < used.time;
    warn(CERTIFICATE, used, expired ? `certificate ${id} expired ${span(until, used.time)} before this ${stepOf(used.event)}`
      : `certificate ${id} did not hold yet at this ${stepOf(used.event)}`);
  }
  return certificates;
}

/** Links are proven with their number, so a split shows even where the other ways aren't part of the trace. */
function splits(trace, warn) {
  const byKey = new Map(trace.lines.filter((it) => !it.error).map((it) => [it.key, it]));
  for (const item of [...trace.items.keys()].sort()) {
    const inputs = new Set(trace.items.get(item).links.filter((link) => link.role === 'input').map((link) => byKey.get(link.event)));
    const used = [...inputs].filter((it) => it && !isWithdrawn(it)).sort(inTime);
    const first = used.find((it) => it.included);
    if (first && used.length > 1) warn(SPLIT, first, `split: ${short(item)} went into ${used.length} transformations`);
  }
}

function blends(lines, warn) {
  for (const it of lines.filter((line) => line.event.type === 'TransformationEvent')) {
    const inputs = [...new Set(itemsIn(it, 'input'))].sort();
    if (inputs.length < 2) continue;
    warn(BLEND, it, `blend of ${inputs.length}: ${inputs.slice(0, 4).map(short).join(', ')}${inputs.length > 4 ? ' and others' : ''}`);
  }
}

const reasonOf = (it) => {
  const { reason } = it.event.errorDeclaration ?? {};
  return typeof reason === 'string' ? under(localName(reason)) : '';
};
/** What is right instead, and whether it can be seen here. */
function insteadText(corrections) {
  const missing = corrections.filter((right) => right.it === null).length;
  if (corrections.length === 0) return '';
  return missing === 0 ? '; what corrects it is in this timeline' : `; of what corrects it ${missing} cannot be seen here`;
}

function declaredWrong(lines, warn) {
  for (const it of lines) {
    if (it.event.errorDeclaration !== undefined) {
      warn(DECLARED_WRONG, it, !it.about ? 'declares wrong what the ledger has no record of: no event has the same content'
        : it.about.recorder !== it.recorder ? 'declares another party\'s record wrong, which stands'
          : `declares an earlier record wrong${insteadText(it.instead)}`);
    } else if (it.by) {
      const reason = reasonOf(it.by);
      warn(DECLARED_WRONG, it, `declared wrong by the party that recorded it${reason ? `: ${reason}` : ''}${insteadText(it.instead)}`);
    }
    if (it.disputedBy.length > 0) warn(DISPUTED, it, 'another party than the recorder declares it wrong');
  }
}

/** Each wrong identifier once, at the first event that has it. */
function identifiers(lines, warn) {
  const told = new Set();
  for (const it of lines) {
    const places = ['readPoint', 'bizLocation'].map((name) => placeIn(it.event, name)?.id).filter((id) => id !== undefined);
    const ends = ['source', 'destination'].flatMap((side) => endsOf(it.event, side).map((end) => end.id));
    for (const item of [...it.roles.map((entry) => entry.item), ...places, ...ends]) {
      if (told.has(item) || !isFaulty(item)) continue;
      told.add(item);
      warn(IDENTIFIER, it, `${short(item)} is no identifier of GS1's: its length or its check digit is wrong`);
    }
  }
}

function sameIds(lines, warn) {
  const seen = new Set();
  for (const it of lines.filter((line) => typeof line.event.eventID === 'string')) {
    if (seen.has(it.event.eventID)) warn(SAME_ID, it, 'another, different event has the same ID');
    seen.add(it.event.eventID);
  }
}

/** An account isn't bound to a party but by the events it signs; so a change is worth knowing. */
function signers(lines, warn) {
  const accounts = new Map();
  for (const it of lines) {
    const party = partyOf(it.event)?.id;
    if (party === undefined) continue;
    if (!accounts.has(party)) accounts.set(party, it.recorder);
    if (accounts.get(party) !== it.recorder) warn(SIGNERS, it, 'signed by another account than the party\'s earlier events');
  }
}
