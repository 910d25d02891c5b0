/**
 * The documents that the page reads. The server and the static export have them at the same addresses. A test holds them
 * equal to `crypto_predict/web/page/documents.py`: its dataclasses, and the members in its list `SHOWN`.
 *
 * Days are "2026-11-23", instants "2026-11-23T06:00:00Z", both in UTC. Prices are in the pair's quote currency.
 * The price of a day is its close, at the end of the day. Lists by day have one item a day, without a hole.
 */

export type Day = string;
export type Instant = string;

/** The newest price, at which the forecast starts: persistence. */
export interface Anchor {
  at: Instant;
  price: number;
}

/**
 * `page/{slug}.json`: the history and the forecast of a pair. Lists of prices by day are sent as differences, of which
 * `withPrices` in steps.js makes the prices.
 */
export interface ForecastDocument {
  pair: string; // "BTC/USD"
  slug: string; // "BTC-USD"
  quote: string; // "USD"
  decimals: number; // of its prices
  simulated: boolean;
  source: string;
  first: Day; // the first daily candle
  last: Day; // the last daily candle
  closes: (number | null)[]; // `first` to `last`; null: the day has no candle
  fitted: number[]; // the curve that was fitted, `first` to `last`
  anchor: Anchor;
  levels: number[]; // of the quantiles: 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95
  prediction: number[]; // 365 days after `last`
  quantiles: number[][]; // a list of 365 days for each level
  served: string; // the model whose forecast this is
  models: string[]; // the others, each of which has a document
  hindcasts: string[]; // the models with a document of what they forecast in the past
}

/** `page/{slug}/models/{model}.json`: the forecast of one model. Lists of prices by day are sent as differences. */
export interface ModelDocument {
  pair: string;
  simulated: boolean;
  model: string;
  words: string; // how good it has been
  prediction: number[]; // 365 days
  low: number[] | null; // of the 80 % interval; null: it was not calibrated
  high: number[] | null;
}

/** What was forecast at the close of one day for the days after it: moves, as differences. */
export interface Fan {
  day: Day;
  low: number[];
  prediction: number[];
  high: number[];
}

/**
 * `page/{slug}/hindcasts/{model}.json`: what a model forecast in the past, out of sample. A move is 10,000 times the log
 * price minus that of the close at the cutoff. All lists of numbers but `horizons` are sent as differences.
 */
export interface HindcastDocument {
  pair: string;
  simulated: boolean;
  model: string;
  coverage: number; // nominal: 0.8
  words: string; // of the fans
  fans: Fan[];
  cutoffs: number[]; // days since `first` of the forecast document
  horizons: number[]; // days ahead
  low: number[][]; // moves: a list of cutoffs for each horizon
  prediction: number[][];
  high: number[][];
}

/** A figure with its 95 % confidence interval. */
export interface Confidence {
  low: number;
  high: number;
}

/** The scores of one horizon. */
export interface Score {
  horizon_days: number;
  forecasts: number;
  relative_mae: number | null; // to persistence; below 1 is better
  relative_winkler: number | null;
  relative_crps: number | null;
  coverage: number; // of the 80 % interval
  coverage_50: number;
  coverage_90: number;
  pit: number[]; // the share of outcomes in each tenth of the forecast distribution
  confidence: Record<string, Confidence>;
  words: string;
}

/** The scores of Prophet alone at one horizon. */
export interface ProphetScore {
  horizon_days: number;
  forecasts: number;
  relative_mae: number | null;
  coverage: number;
}

export interface ProphetBacktest {
  scores: ProphetScore[];
  words: string;
}

export interface Backtest {
  first_cutoff: Day;
  last_cutoff: Day;
  cutoffs: number;
  scores: Score[];
  prophet: ProphetBacktest | null;
}

/** A published forecast and what happened. */
export interface LiveForecast {
  made_at: Instant;
  build: string;
  target: Day;
  horizon_days: number;
  prediction: number;
  low: number; // of the 80 % interval
  high: number;
  persistence: number;
  actual: number;
}

/** The scores of the published forecasts of one horizon. */
export interface LiveScore {
  horizon_days: number;
  due: number;
  relative_mae: number | null;
  coverage: number;
}

/** The published forecasts of a pair. */
export interface LiveRecord {
  since: Instant;
  releases: number;
  due: number;
  days: number;
  pending: number;
  relative_mae: number | null;
  coverage: number | null;
  by_horizon: LiveScore[];
  latest: LiveForecast[]; // newest first
}

/** `page/{slug}/record.json`: how good the forecasts have been. */
export interface RecordDocument {
  pair: string;
  simulated: boolean;
  coverage: number; // nominal: 0.8
  words: string[]; // sentences for a reader who is not a statistician; the page shows them as they are
  backtest: Backtest | null; // null: the history is too short
  live: LiveRecord | null; // null: no forecast has been published yet
}

/** `page/{slug}/releases.json`: the days with a release whose forecast can be shown again, the newest of each day. */
export interface ReleasesDocument {
  pair: string;
  simulated: boolean;
  days: string[]; // newest first
}

/** `page/{slug}/releases/{day}.json`: what was forecast then, for the 30 days after `last`. */
export interface ReleaseDocument {
  pair: string;
  simulated: boolean;
  build: string;
  made_at: Instant;
  anchor: Anchor;
  last: Day;
  levels: number[];
  prediction: number[];
  low: number[]; // of the 80 % interval
  high: number[];
  quantiles: number[][] | null; // a list of 30 days for each level; null: an early release without them
  outcomes: (number | null)[]; // the closes of these days as first recorded; null: not recorded
}

/** What the page itself says, from the attributes of its body. */
export interface Site {
  root: string; // the prefix of all addresses: "./" or "../../"
  live: boolean; // a database is connected: candles, minutes and prices can be asked for
  api: string | null; // the prefix of the API: `root`, or the address of the live site; null: no API can be asked
  pair: string; // "BTC/USD"
  traded: string; // what the source of the prices trades in its place: "BTC/USDT"
  slug: string; // "BTC-USD"
  decimals: number; // of the pair's prices
  simulated: boolean;
  trainedAt: Instant;
  staleAfter: number; // seconds after which a model or its newest candle is stale
  nextTraining: string; // an ISO 8601 instant; empty if none is planned
}

/** What a section of the page gets. */
export interface Context {
  site: Site;
  forecast: Promise<ForecastDocument>;
  record: Promise<RecordDocument>;
  now: Promise<number>; // the present instant, milliseconds since 1970: see presentInstant() in site.js
}

/** The function of a section's script that brings its element to life. */
export type Mount = (root: HTMLElement, context: Context) => void | Promise<void>;

/** A row of `/prices`. */
export interface PairPrice {
  pair: string;
  source: string;
  simulated: boolean;
  state: "active" | "stopped" | "delisted";
  price: number | null; // null: there is no candle yet
  time: Instant | null; // of that close
  change_24h: number | null; // 0.012 is 1.2 %; null: the candle of then is missing
}

/** A table of the API: its rows are in a further member. */
export interface Table {
  pair: string;
  source: string;
  simulated: boolean;
  columns: string[];
}

/** `/forecast/{pair}/minutes`: the price in each of the next minutes. */
export interface MinutesAhead {
  pair: string;
  source: string;
  simulated: boolean;
  cutoff: Instant; // the close of the last candle behind it
  price: number; // at the cutoff
  forecast: { minutes: number; time: Instant; prediction: number; low: number; high: number; quantiles: Record<string, number> }[];
}

/** How good the forecasts of so many minutes ahead have been. */
export interface MinuteScore {
  horizon_minutes: number;
  forecasts: number;
  relative_mae: number | null; // to persistence; below 1 is better
  relative_winkler: number | null;
  relative_crps: number | null;
  coverage_50: number;
  coverage_80: number;
  coverage_90: number;
}

/** The member `minutes` of `/scorecard` has these; it is null while the database cannot be read. */
export interface MinutesRecord {
  pair: string;
  source: string;
  simulated: boolean;
  since: Instant;
  until: Instant;
  by_horizon: MinuteScore[];
}

/** A row of `/series`, and of the member `collected` of `/pairs`. */
export interface SeriesState {
  pair: string;
  source: string;
  interval: string; // "1m"
  simulated: boolean;
  state: "active" | "stopped" | "delisted";
  start: Instant | null;
  end: Instant | null; // the newest close
  lag_seconds: number | null; // null: there is no candle yet
  gaps: number;
  missing: number; // candles in these gaps
  since: Instant | null;
  compared: number; // candles of the live stream, with what the source returned later
  mismatched: number; // of these, those that differed
  mismatch_rate: number | null;
}
