/** What a verification gave: whether it holds, and the JSON that says what is proven, or `{ error }`. `docs/format.md` says what it holds. */
export interface Answer<T = Record<string, any>> {
  holds: boolean;
  value: T & { error?: string };
}

/** A checkpoint that is trusted, and whose signatures make it so. Numbers of 64 bits are decimal text. */
export interface OpenedCheckpoint {
  proven: 'checkpoint';
  chain: string;
  name: string;
  engine: string;
  height: string;
  timestamp: string;
  digest: string;
  history: { size: string; root: string };
  signed_by: string[];
}

/** The module, loaded. It has one memory: calls don't overlap. */
export interface Verifier {
  /** Verifies one proof from nothing but a trust root (or a genesis). */
  verify(proof: Uint8Array, checkpoint: Uint8Array, trustRoot: Uint8Array): Answer;
  /** Verifies a checkpoint once, for many proofs. */
  open(checkpoint: Uint8Array, trustRoot: Uint8Array): Answer<OpenedCheckpoint>;
  /** Verifies a proof against the checkpoint that was opened last. */
  check(proof: Uint8Array): Answer;
}

/** A proof, of which an event's bytes may be cut out: then `event` is the event's number from 0 and `at` where its bytes begin, else -1. */
export interface Piece {
  bytes: Uint8Array;
  event: number;
  at: number;
}

/** What a trace page carries. */
export interface Trace {
  trustRoot: Uint8Array;
  checkpoint: Uint8Array;
  /** The canonical identifier of the item whose trace it is. */
  item: string;
  pieces: Piece[];
  /** The events' bytes, as they are shown. */
  events: Uint8Array[];
  /** The contract that is to have stored the events. Without it, a contract that is a module is the trace's own choice. */
  expected?: string;
}

/** A line that doesn't hold. */
export interface RefusedLine {
  error: string;
}

/** A line that holds. */
export interface ProvenLine {
  error?: undefined;
  /** The event's key: SHA-256 of its bytes. */
  key: string;
  /** The event that was signed. */
  event: Record<string, any>;
  /** The account that recorded it, and the key that signed. */
  recorder: string;
  signedBy: string;
  transaction: string;
  place: { height: string; timestamp: string; index: number };
  /** When it happened, in ms since 1970, with fractions. */
  time: number;
  /** The same with each number as a text of NUL and the digits as written; a text that begins with NUL has one more. */
  exact: Record<string, any>;
  /** Which items it names, by their canonical identifiers, as what, in its own order. */
  roles: { item: string; role: string }[];
  /** Whether it is part of the item's history; else it was read only to know that. */
  included: boolean;
  /** The key of the event by which its recorder declared it wrong. */
  wrong: string | null;
  /** The key of the event that it declares wrong, whoever recorded that. */
  declares: string | null;
  /** The keys of other parties' declarations that it is wrong: it stands all the same. */
  disputed: string[];
}

/** What became of a trace. */
export interface CheckedTrace {
  /** Whether every line holds and none is left out. */
  holds: boolean;
  /** Why nothing can be said of any line. */
  error?: string;
  checkpoint: OpenedCheckpoint | null;
  contract: string | null;
  code: { runtime: string; bytes: Uint8Array; deployer: string } | null;
  lines: (ProvenLine | RefusedLine)[];
  items: Map<string, { item: string; links: { event: string; role: string }[] }>;
  flows: { from: string; to: string; by: string }[];
  /** Keys of the events that concern the item itself. */
  own: Set<string>;
  /** What is missing for the lines to be all. */
  faults: string[];
}

/** Loads the module `ledger_verifier.wasm`. */
export function load(module: BufferSource): Promise<Verifier>;
/** Reads the proofs of a trace page. Throws where they are cut off. */
export function readPieces(bytes: Uint8Array): Piece[];
/** Verifies a trace line by line. Doesn't throw, whatever the bytes. */
export function checkTrace(verifier: Verifier, trace: Trace): CheckedTrace;
/** The instant that an EPCIS time names, in ms since 1970, with fractions; NaN where it names none. */
export function instant(text: unknown, local?: string): number;
