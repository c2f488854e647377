// What sensors reported, and what it is held against: exactly, also across units, as `ledger_traceability::epcis` does.

// Codes of UN/ECE Recommendation 20 by what they measure: code, symbol, and the unit in the base as `times/by`; of a temperature also the
// hundredths that come on top of the value before. What is under `-` is only ever compared with the same unit.
const UNITS = new Map(Object.entries({
  temperature: 'CEL °C 1/1/27315,FAH °F 5/9/45967,KEL K 1/1',
  mass: 'MC µg 1/1000000000,MGM mg 1/1000000,GRM g 1/1000,KGM kg 1/1,DTN dt 100/1,TNE t 1000/1,LBR lb 45359237/100000000,'
    + 'ONZ oz 45359237/1600000000,CWA cwt_(US) 45359237/1000000,STN ton_(US) 45359237/50000',
  volume: 'MLT ml 1/1000,CLT cl 1/100,DLT dl 1/10,LTR l 1/1,HLT hl 100/1,CMQ cm³ 1/1000,DMQ dm³ 1/1,MTQ m³ 1000/1,'
    + 'GLL gal_(US) 3785411784/1000000000,GLI gal_(UK) 454609/100000,OZA fl_oz_(US) 295735295625/10000000000000',
  length: '4H µm 1/1000000,MMT mm 1/1000,CMT cm 1/100,DMT dm 1/10,MTR m 1/1,KMT km 1000/1,INH in 254/10000,FOT ft 3048/10000,'
    + 'YRD yd 9144/10000,SMI mi 1609344/1000,NMI nmi 1852/1',
  area: 'CMK cm² 1/10000,MTK m² 1/1,HAR ha 10000/1,KMK km² 1000000/1,FTK ft² 9290304/100000000',
  time: 'C26 ms 1/1000,SEC s 1/1,MIN min 60/1,HUR h 3600/1,DAY d 86400/1,WEE wk 604800/1',
  pressure: 'PAL Pa 1/1,A97 hPa 100/1,MBR mbar 100/1,KPA kPa 1000/1,BAR bar 100000/1,ATM atm 101325/1,MPA MPa 1000000/1',
  density: 'A93 g/m³ 1/1000,GP mg/m³ 1/1000000,M1 mg/l 1/1000,GL g/l 1/1,KMQ kg/m³ 1/1,23 g/cm³ 1000/1',
  speed: 'MTS m/s 1/1,KMH km/h 5/18,KNT kn 463/900,HM mph 1397/3125',
  acceleration: 'MSK m/s² 1/1,A76 Gal 1/100',
  frequency: 'HTZ Hz 1/1,KHZ kHz 1000/1,MHZ MHz 1000000/1',
  illuminance: 'LUX lx 1/1,KLX klx 1000/1',
  energy: 'JOU J 1/1,KJO kJ 1000/1,WHR Wh 3600/1,KWH kWh 3600000/1',
  power: 'WTT W 1/1,KWT kW 1000/1',
  voltage: '2Z mV 1/1000,VLT V 1/1',
  current: '4K mA 1/1000,AMP A 1/1',
  share: '61 ppb 1/10000000,59 ppm 1/10000,P1 % 1/1',
  count: 'H87 pieces 1/1,EA pieces 1/1,C62 pieces 1/1,NIU pieces 1/1,DZN dozen 12/1',
  angle: 'D61 ′ 1/60,DD ° 1/1',
  '-': '2N dB,Q30 pH,C34 mol,C36 mol/m³,OHM Ω,NEW N,LUM lm,CDL cd,BQL Bq,D13 Sv,D33 T',
}).flatMap(([dimension, units]) => units.split(',').map((unit) => {
  const [code, symbol, factor = '1/1'] = unit.split(' ');
  const [times, by, add = 0n] = factor.split('/').map(BigInt);
  return [code, { symbol: under(symbol), dimension, times, by, add }];
})));
/** ` °C`: what stands behind a number. */
const unitOf = (code) => (code ? ` ${UNITS.get(code)?.symbol ?? code}` : '');

const MAX_DIGITS = 20;
const MAX_SCALE = 18;
const LARGEST = 1n << 127n;
const fits = (value) => -LARGEST <= value && value < LARGEST;
const power = (exponent) => 10n ** BigInt(exponent);

/** The number that JSON writes so, exactly: `mantissa` over ten to the power of `scale`; `null` when it has more than 20 digits. */
function decimal(text) {
  const taken = digitsOf(text);
  if (!taken) return null;
  const { negative, digits, exponent } = taken;
  const places = digits.length + exponent;
  if (digits === '' || places < -MAX_SCALE) return { mantissa: 0n, scale: 0 };
  const whole = Math.max(places, 0);
  if (whole > MAX_DIGITS) return null;
  // Finer digits are rounded, half away from zero.
  const kept = Math.min(MAX_SCALE - Math.max(-places, 0) + whole, MAX_DIGITS, digits.length);
  let mantissa = BigInt(digits.slice(0, kept) || 0) + (digits[kept] >= '5' ? 1n : 0n);
  let scale = kept - places;
  if (scale < 0) [mantissa, scale] = [mantissa * power(-scale), 0];
  while (scale > 0 && mantissa % 10n === 0n) [mantissa, scale] = [mantissa / 10n, scale - 1];
  if (mantissa > power(MAX_DIGITS) || scale > MAX_SCALE) return null;
  return { mantissa: negative ? -mantissa : mantissa, scale };
}
const decimalText = ({ mantissa, scale }) => {
  const digits = String(mantissa < 0n ? -mantissa : mantissa).padStart(scale + 1, '0');
  return `${mantissa < 0n ? '-' : ''}${digits.slice(0, digits.length - scale)}${scale > 0 ? `.${digits.slice(-scale)}` : ''}`;
};
const at = (value, scale) => value.mantissa * power(scale - value.scale);

/** Whether units measure the same, so that one's values can be held against the other's. */
const comparable = (code, other) => code === other
  || (UNITS.has(code) && UNITS.get(code).dimension === UNITS.get(other)?.dimension && UNITS.get(code).dimension !== '-');

/** Below zero, zero or above it as `value` is to `other`; `null` where they measure different things. */
function compare(value, code, other, otherCode) {
  if (!comparable(code, otherCode)) return null;
  const same = code === otherCode;
  const scale = Math.max(value.scale, other.scale, same ? 0 : 2);
  let [left, right] = [at(value, scale), at(other, scale)];
  if (!same) {
    const [own, of] = [UNITS.get(code), UNITS.get(otherCode)];
    const base = (it, unit) => it + unit.add * power(scale - 2);
    const terms = [base(left, own), own.times * of.by, base(right, of), of.times * own.by];
    [left, right] = [terms[0] * terms[1], terms[2] * terms[3]];
    // Beyond 128 bits Rust doesn't compare either.
    if (![...terms, left, right].every(fits)) return null;
  }
  return left < right ? -1 : left > right ? 1 : 0;
}
const lower = (a, b) => compare(a, '', b, '') < 0;

/** A value in another unit that measures the same, as near as a float, for drawing. */
function inUnit(value, code, other) {
  const plain = Number(decimalText(value));
  if (code === other) return plain;
  const [from, to] = [UNITS.get(code), UNITS.get(other)];
  return ((plain + Number(from.add) / 100) * Number(from.times * to.by)) / Number(from.by * to.times) - Number(to.add) / 100;
}

function numberIn(holder, name) {
  if (!isNumber(holder?.[name])) return null;
  return { written: written(holder[name]), value: decimal(written(holder[name])) };
}
const stringIn = (holder, name) => (typeof holder?.[name] === 'string' && !isNumber(holder[name]) ? holder[name] : null);

/** `13.5 to 26.1 °C, mean 20.4 °C`. */
function rangeOf({ value, low, high, mean, rank, upTo, other, unit }) {
  const sign = unitOf(unit);
  const parts = [];
  if (value) parts.push(`${value.written}${sign}`);
  if (low && high) parts.push(`${low.written} to ${high.written}${sign}`);
  else if (low) parts.push(`at least ${low.written}${sign}`);
  else if (high) parts.push(`at most ${high.written}${sign}`);
  if (mean) parts.push(`mean ${mean.written}${sign}`);
  if (rank && upTo) parts.push(`${rank.written} % of them up to ${upTo.written}${sign}`);
  if (other !== null) parts.push(other);
  return parts.join(', ') || 'no value';
}

/** The sensors' reports of a line, in the event's order. */
function readingsOf(it) {
  const found = [];
  const zone = it.event.eventTimeZoneOffset;
  for (const element of list(it.exact.sensorElementList)) {
    for (const report of list(element?.sensorReport)) {
      if (stringIn(report, 'type') === null) continue;
      const when = (name) => instant(stringIn(report, name) ?? stringIn(element.sensorMetadata, name), zone);
      const other = ['stringValue', 'hexBinaryValue', 'uriValue', 'booleanValue'].map((name) => (
        typeof report[name] === 'boolean' ? String(report[name]) : stringIn(report, name))).find((text) => text !== null) ?? null;
      const [value, low, high, mean, rank, upTo] = ['value', 'minValue', 'maxValue', 'meanValue', 'percRank', 'percValue']
        .map((name) => numberIn(report, name));
      const exception = stringIn(report, 'exception');
      const [measured, unit] = [localName(report.type), stringIn(report, 'uom') ?? ''];
      const reading = { it, measured, unit, value, low, high, mean, rank, upTo, other };
      const values = [value, mean, low, high, rank && upTo].map((number) => number?.value).filter(Boolean);
      reading.text = rangeOf(reading);
      reading.lowest = values.length > 0 ? values.reduce((a, b) => (lower(b, a) ? b : a)) : null;
      reading.highest = values.length > 0 ? values.reduce((a, b) => (lower(a, b) ? b : a)) : null;
      reading.exception = exception === null ? null : localName(exception);
      const [from, until] = [when('startTime'), when('endTime')];
      const middle = Number.isFinite(from) && Number.isFinite(until) ? (from + until) / 2 : it.time;
      reading.time = Number.isFinite(when('time')) ? when('time') : middle;
      found.push(reading);
    }
  }
  return found;
}

/** What the readings of a line had to stay within. */
const limitsOf = (it) => list(extension(it.event, it.exact, 'limits')).filter((limit) => stringIn(limit, 'type') !== null).map((limit) => ({
  measured: localName(limit.type), unit: stringIn(limit, 'uom') ?? '', low: numberIn(limit, 'minValue')?.value ?? null,
  high: numberIn(limit, 'maxValue')?.value ?? null,
}));

const breaks = (limit, reading) => limit.measured === reading.measured
  && ((limit.low !== null && reading.lowest !== null && compare(reading.lowest, reading.unit, limit.low, limit.unit) === -1)
    || (limit.high !== null && reading.highest !== null && compare(reading.highest, reading.unit, limit.high, limit.unit) === 1));
/** Whether the reading can be held against the limit: it has numbers, in a unit of the same kind. */
const judged = (limit, reading) => limit.measured === reading.measured && reading.lowest !== null && comparable(reading.unit, limit.unit);

const allowed = ({ low, high, unit }) => {
  const sign = unitOf(unit);
  if (low !== null && high !== null) return `${decimalText(low)} to ${decimalText(high)}${sign}`;
  if (low !== null) return `at least ${decimalText(low)}${sign}`;
  return high === null ? 'anything' : `at most ${decimalText(high)}${sign}`;
};
