// The page: verifies what it carries, and shows what it has verified and nothing else.

function bytesOf(text) {
  const letters = atob(text.trim());
  const bytes = new Uint8Array(letters.length);
  for (let at = 0; at < letters.length; at += 1) bytes[at] = letters.charCodeAt(at);
  return bytes;
}
/** Unpacks without a detour over a `Blob` or a `Response`, which the browser keeps in another process. */
async function inflate(bytes) {
  try {
    const { readable, writable } = new DecompressionStream('deflate');
    const writer = writable.getWriter();
    const written = Promise.all([writer.write(bytes), writer.close(), writer.closed]);
    // Whoever reads is told first what is wrong with the bytes.
    written.catch(() => {});
    const chunks = [];
    for (const reader = readable.getReader(); ;) {
      const { done, value } = await reader.read();
      if (done) break;
      chunks.push(value);
    }
    await written;
    const whole = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
    chunks.reduce((at, chunk) => { whole.set(chunk, at); return at + chunk.length; }, 0);
    return whole;
  } catch {
    throw new Error('what is packed in the page is damaged, or this browser can\'t unpack it');
  }
}

function amounts(event) {
  const name = (id) => label(canonical(textOf(id)));
  const amount = (it) => `${it?.quantity === undefined ? '' : `${textOf(it.quantity)}${unitOf(it.uom ?? 'H87')} of `}${name(it?.epcClass)}`;
  const of = (quantities, singles) => {
    const all = [...list(event[singles]).map(name), ...list(event[quantities]).map(amount)];
    return `${all.slice(0, 30).join(', ')}${all.length > 30 ? ` and ${all.length - 30} more` : ''}`;
  };
  return [
    ['What', of('quantityList', 'epcList')], ['From', of('inputQuantityList', 'inputEPCList')],
    ['Made', of('outputQuantityList', 'outputEPCList')], ['Inside', of('childQuantityList', 'childEPCs')],
    ['Container', event.parentID ? name(event.parentID) : ''],
  ];
}

/** Whether the line stands, with links to what it is about, what declares it wrong, and what is right instead. */
function standingOf(it) {
  const right = ({ id, it: line }) => (line ? lineLink(line) : `${clip(id, 120)} (not on this page)`);
  const instead = it.instead.length > 0 ? ['. Right instead: ', joined(it.instead.slice(0, 20).map(right))] : [];
  const said = [];
  if (it.event.errorDeclaration !== undefined) {
    const reason = reasonOf(it) ? ` (${clip(reasonOf(it), 100)})` : '';
    if (!it.about) said.push([`Error declaration${reason} about an event that the ledger has no record of`, instead]);
    else {
      const whose = it.about.recorder === it.recorder ? '' : ', which another party has recorded and which stands';
      said.push([`Error declaration${reason}: `, lineLink(it.about), ` is declared wrong${whose}`, instead]);
    }
  } else if (it.by) {
    const reason = reasonOf(it.by) ? `: ${clip(reasonOf(it.by), 100)}` : '';
    said.push([`Declared wrong by the party that recorded it${reason}, in `, lineLink(it.by), instead]);
  }
  if (it.corrects.length > 0) said.push(['Corrects ', joined(it.corrects.slice(0, 20).map(lineLink)), ', which was declared wrong']);
  if (it.disputedBy.length > 0) {
    said.push(['Stands, though another party declares it wrong, in ', joined(it.disputedBy.slice(0, 20).map(lineLink))]);
  }
  return said.map((parts) => h('p', { class: 'standing' }, parts, '.'));
}

function showLine(element, it, trace, derived, own) {
  const box = element.querySelector('.shown');
  box.replaceChildren();
  element.classList.remove('good', 'bad', 'aside', 'wrong', 'withdrawn');
  const proof = h('p', { class: 'proof' });
  if (it.error) {
    element.classList.add('bad');
    proof.append(`✗ Not proven: ${it.error}. What is shown here is not what was signed and recorded, or its proof was changed.`);
    box.append(h('h3', null, 'A line that does not hold'), proof);
    return;
  }
  const { event } = it;
  element.classList.add('good');
  if (!it.included) element.classList.add('aside');
  if (it.wrong !== null || event.errorDeclaration !== undefined) element.classList.add('wrong');
  if (it.wrong !== null) element.classList.add('withdrawn');
  const step = capital(clip(stepOf(event), 60));
  box.append(h(
    'h3', null, h('time', { datetime: new Date(it.time).toISOString() }, whenOf(it)), ' ', it.wrong === null ? step : h('s', null, step),
    it.wrong !== null ? ' (declared wrong)' : event.errorDeclaration !== undefined ? ' (error declaration)' : '',
    it.included ? '' : ' (not part of this lot\'s history)',
  ));
  if (it.included) box.append(...standingOf(it));
  // That a line doesn't stand is said already, with links.
  const others = derived.warnings.filter((warning) => warning.it === it && ![DECLARED_WRONG, DISPUTED].includes(warning.kind));
  for (const { text } of others.slice(0, MAX_ROWS)) {
    box.append(h('p', { class: 'warning' }, `! ${clip(capital(text))}`));
  }
  const readings = it.readings ?? readingsOf(it);
  const more = readings.length > 12 ? ` and ${readings.length - 12} more` : '';
  const sensors = readings.slice(0, 12).map((reading) => `${clip(spaced(reading.measured), 60)} ${clip(reading.text)}`).join(', ') + more;
  const ends = (side) => endsOf(event, side).map((end) => `${under(end.kind)} ${label(end.id)}`).slice(0, 6).join(', ');
  const dispositions = (name) => list(event.persistentDisposition?.[name]).map((word) => under(local(word))).slice(0, 20).join(', ');
  box.append(facts([
    ['Where', named(placeOf(event))], ['Who', named(partyOf(event))], ...amounts(event), ['State', under(local(event.disposition))],
    ['Holds from here', dispositions('set')], ['Holds no more', dispositions('unset')],
    ['Holds', it.state ? it.state.persistent.map((held) => under(held.disposition)).slice(0, 20).join(', ') : ''],
    ['Note', textOf(extension(event, event, 'note'))], ['Sensors', sensors], ['Sources', ends('source')],
    ['Destinations', ends('destination')],
  ]));
  const words = own.length > 0 ? ` (the page's own word: ${own.join(', ')})` : '';
  proof.append(`✓ Proven: recorded in block ${it.place.height} as transaction ${it.place.index}, signed by key ${few(it.signedBy)} of `
    + `account ${few(it.recorder)}, in the state that the checkpoint at block ${trace.checkpoint.height} commits to${words}.`);
  box.append(proof);
}

/** What of all that is verified nobody but the page says: which trust root, and which module is the contract. */
function ownWords(trace, given) {
  const words = [];
  if (!given.trustRoot) words.push('trust root');
  if (trace.code?.runtime === 'wasm' && !given.contract) words.push('contract');
  return words;
}

function evidence(trace, given, took) {
  const { checkpoint, code } = trace;
  const digest = h('code', null);
  if (code?.runtime === 'wasm') {
    crypto.subtle?.digest('SHA-256', code.bytes).then((bytes) => digest.append(`, SHA-256 ${hex(new Uint8Array(bytes))}`));
  }
  const linkedIn = 'linked into the nodes as “traceability”';
  const codeText = !code ? '' : code.runtime === 'native' ? linkedIn
    : h('span', null, `a WebAssembly module of ${code.bytes.length} bytes`, digest);
  const choice = !code || given.contract ? 'given by you' : code.runtime === 'native' ? 'its code is the nodes\' own'
    : 'THE PAGE\'S OWN CHOICE: nothing shows that this module keeps to any rule';
  const complete = trace.faults.length === 0
    ? `yes: of each of ${trace.items.size} lots and containers that the history needs, all events are here`
    : clip(`no: ${trace.faults.slice(0, 5).join('; ')}`, 1500);
  $('evidence-shown').replaceChildren(facts([
    ['Trust root', given.trustRoot ? 'given by you' : 'the page\'s own word'],
    ['Chain', checkpoint ? `${checkpoint.name}, ${checkpoint.chain}` : ''],
    ['Checkpoint', checkpoint ? `block ${checkpoint.height}, ${clock(Number(checkpoint.timestamp))}, ${checkpoint.digest}` : trace.error],
    ['Signed by', checkpoint ? h('ul', null, checkpoint.signed_by.map((key) => h('li', null, h('code', null, key)))) : ''],
    ['Contract', trace.contract ? `${trace.contract} (${choice})` : ''], ['Its code', codeText],
    ['Deployed by', code ? `account ${code.deployer}` : ''], ['Complete', complete], ['Took', `${took.toFixed(0)} ms`],
  ]));
}

/** The verdict: a class and a sentence. */
function judge(trace, lines, own) {
  const failed = trace.lines.filter((it) => it.error).length;
  if (trace.error) return ['bad', `NOT VERIFIED: ${trace.error}.`];
  if (failed > 0) {
    return ['bad', `NOT VERIFIED: ${failed} of ${lines} lines do not hold; they are marked red. `
      + 'What is said of all lines together leaves them out.'];
  }
  if (!trace.holds) return ['bad', `NOT VERIFIED: something is left out: ${clip(trace.faults[0])}.`];
  const all = lines === 1 ? 'The only line' : `All ${lines} lines`;
  const verified = `${all} verified, none left out, against the checkpoint at block ${trace.checkpoint.height}`;
  const root = own.includes('trust root') ? '. The trust root is the page\'s own word: give one that you trust below.'
    : ', from the trust root that you gave.';
  const contract = own.includes('contract') ? ' The contract that keeps the events is a WebAssembly module of the page\'s own choice: '
    + 'whoever deployed it chose its rules. Give the ID of the contract that you mean below.' : '';
  return [own.length > 0 ? 'own' : 'good', verified + root + contract];
}

const SIGNED = 'The JSON that was signed';
function contents() {
  const sections = [...document.querySelectorAll('main > section')].filter((it) => !it.hidden);
  const item = (it) => h('li', null, h('a', { href: `#${it.id}` }, it.querySelector('h2').textContent));
  $('contents').replaceChildren(h('ul', null, sections.map(item)));
}

function downloads(data, events, checkpoint, trustRoot) {
  const link = (name, bytes, type) => h('a', { href: URL.createObjectURL(new Blob([bytes], { type })), download: name }, name);
  const file = JSON.stringify({ format: 'ledgerkit trace 1', ...data, events });
  const all = [link('trace.json', file, 'application/json'), link('checkpoint.bin', checkpoint), link('trust-root.bin', trustRoot)];
  $('downloads').replaceChildren(...joined(all, ' '));
}

function say(kind, text) {
  $('verdict').className = kind;
  $('verdict').textContent = text;
}

/** Nothing can be said of any line. */
function refuse(why) {
  say('bad', `NOT VERIFIED: ${why}.`);
  document.documentElement.dataset.verified = 'false';
  document.querySelectorAll('#events > .line').forEach((line) => {
    line.classList.remove('good');
    line.classList.add('bad');
    line.querySelector('.shown')?.replaceChildren(h('p', { class: 'proof' }, `✗ Not proven: ${why}.`));
  });
}

async function main() {
  const began = performance.now();
  try {
    const data = JSON.parse($('trace-data').textContent);
    const lines = [...document.querySelectorAll('#events > .line')];
    const signed = lines.map((line) => line.querySelector('pre.signed')?.textContent ?? '');
    // Whatever else stood in a line would be nobody's signed word.
    const foreign = lines.map((line, index) => line.textContent.replace(signed[index], '').trim() !== SIGNED);
    const encoder = new TextEncoder();
    const events = signed.map((text) => encoder.encode(text));
    const [module, proofs] = await Promise.all([inflate(bytesOf($('trace-verifier').textContent)), inflate(bytesOf(data.proofs))]);
    performance.mark('unpacked');
    const verifier = await load(module);
    performance.mark('loaded');
    const parts = { checkpoint: bytesOf(data.checkpoint), pieces: readPieces(proofs), item: data.item, events };
    const ownRoot = bytesOf(data.trust_root);
    const show = (given, start) => {
      const trace = checkTrace(verifier, { ...parts, trustRoot: given.trustRoot ?? ownRoot, expected: given.contract });
      foreign.forEach((is, index) => {
        if (!is) return;
        trace.lines[index] = { error: 'something stands in this line that was not signed' };
        trace.holds = false;
      });
      trace.lines.forEach((it, index) => Object.assign(it, { id: lines[index].id, number: index + 1 }));
      const verified = performance.now();
      const derived = derive(trace);
      const own = ownWords(trace, given);
      lines.forEach((line, index) => showLine(line, trace.lines[index], trace, derived, own));
      const title = `The history of ${label(data.item)}`;
      $('title').textContent = title;
      document.title = title;
      warningList(derived);
      story(trace, derived, data);
      route(derived);
      graph(trace, data);
      plots(derived);
      certificateTable(derived);
      deliveryTable(derived);
      evidence(trace, given, verified - start);
      say(...judge(trace, lines.length, own));
      contents();
      Object.assign(document.documentElement.dataset, {
        took: (verified - start).toFixed(1), shown: performance.now().toFixed(1), verified: String(trace.holds),
      });
    };
    $('trust').addEventListener('submit', async (submitted) => {
      submitted.preventDefault();
      try {
        const [file] = $('trust-file').files;
        const text = $('trust-text').value.trim();
        const trustRoot = file ? new Uint8Array(await file.arrayBuffer()) : text ? bytesOf(text) : undefined;
        const contract = $('contract').value.trim().toLowerCase() || undefined;
        show({ trustRoot, contract }, performance.now());
      } catch (error) {
        refuse(`the trust root can't be read: ${error.message}`);
      }
      $('verdict').scrollIntoView();
    });
    $('trust-own').addEventListener('click', () => {
      $('trust').reset();
      show({}, performance.now());
    });
    show({}, began);
    downloads(data, signed, parts.checkpoint, ownRoot);
  } catch (error) {
    refuse(`the page's proofs can't be read: ${error.message}`);
  }
}
await main();
