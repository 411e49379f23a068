// Peers: knockd and fwknopd, where they are installed. The time from the last knock, or the packet,
// until a client is connected, and the highest rate of a flood at which they still open.
//
// pk's client connects once, at once. Those of the peers try anew every 2 ms, which no ordinary client
// does: one that connects once and is too early waits 1 s for its second SYN. Floods are of what the
// peer looks at: forged SYNs to the first knock port; for fwknopd datagrams that might be its own.
//
// All stand side by side and are knocked at in turns, so that the machine's noise meets all alike.

import { sleep } from "../../support/netns.ts";
import type { Connected } from "../connector.ts";
import { FIRST_KNOCK, walk } from "../flood.ts";
import type { Sent } from "../generator.ts";
import { freshSources, visit } from "../knockers.ts";
import {
  type BenchLab,
  createBenchLab,
  type Flooding,
  program,
  startClient,
  startFlood,
  startPk,
} from "../lab.ts";
import type { Options } from "../options.ts";
import { startFwknop } from "../peers/fwknop.ts";
import { startKnockd } from "../peers/knockd.ts";
import { openedBy, type Peer } from "../peers/peer.ts";
import type { Result } from "../report.ts";
import { percentile } from "../statistics.ts";

const WALK = walk(FIRST_KNOCK, "ipv4", 60_000);
/** SYNs or datagrams a second; the first at which somebody fails is the last that is tried. */
const RATES = [100, 300, 1_000, 3_000, 10_000, 30_000, 80_000] as const;
const KNOCKERS = 5;
/** Of KNOCKERS: one may be bad luck. */
const ENOUGH = 4;
const WARM_UP = 2;
/** How long a flood lasts before somebody knocks. */
const BEFORE_MS = 3_000;

export async function peers(options: Options): Promise<Result[]> {
  const results: Result[] = [];
  const players = await timesInTurn(options);
  const pk = players.find(({ start }) => start === pkPlayer);
  for (const { start, name, unit, us } of players) {
    const beside = {
      reference: { what: name, value: us / 1000 },
      ratio: (pk?.us ?? NaN) / us,
      target: { atMost: 1 },
      chart: `time to connected, beside ${name.replace(/ .*/, "")}`,
    };
    const { rate, rates } = await highestRate(start);
    const more: Result[] = [
      {
        scenario: "peers",
        what: "ipv4, p50 from the last knock to connected",
        unit: "ms",
        value: (pk?.us ?? NaN) / 1000,
        ...(start === pkPlayer ? {} : beside),
      },
      {
        scenario: "peers",
        what: `ipv4, ${name}: a flood in which it still opens`,
        unit,
        value: rate,
        detail: rates,
      },
    ];
    more.forEach(options.progress);
    results.push(...more);
  }
  return results;
}

/** Somebody who opens, in a lab of its own. */
interface Player {
  readonly name: string;
  /** Of a flood. */
  readonly unit: string;
  readonly knock: (count: number) => Promise<Connected[]>;
  readonly flood: (rate: number) => Flooding;
}

/** Everything it starts is put on the stack; undefined where it is not installed. */
type Start = (lab: BenchLab, undo: AsyncDisposableStack) => Promise<Player | undefined>;

async function play<T>(start: Start, of: (player: Player) => Promise<T>): Promise<T | undefined> {
  await using undo = new AsyncDisposableStack();
  const lab = undo.use(await createBenchLab());
  const player = await start(lab, undo);
  return player && await of(player);
}

/** The median from the last knock to connected of everybody that is installed. */
async function timesInTurn({ quick }: Options) {
  await using undo = new AsyncDisposableStack();
  const players: (Player & { start: Start; times: number[] })[] = [];
  for (const start of [pkPlayer, knockdPlayer, fwknopPlayer]) {
    const player = await start(undo.use(await createBenchLab()), undo);
    if (player) players.push({ ...player, start, times: [] });
  }
  for (let turn = -WARM_UP; turn < (quick ? KNOCKERS : 4 * KNOCKERS); turn++) {
    for (const { knock, times } of players) {
      const opened = await knock(1);
      if (turn >= 0) times.push(...opened.map(({ us }) => us));
    }
  }
  return players.map(({ times, ...player }) => ({ ...player, us: percentile(times, 0.5) }));
}

/** The highest rate of a flood at which somebody who is installed still opens. */
async function highestRate(start: Start) {
  const rates: { rate: number; sentRate: number; opened: number }[] = [];
  for (const rate of RATES) {
    // Anew for each rate: what one flood has left must not burden the next.
    const one = await play(start, async ({ knock, flood }) => {
      await using flooding = flood(rate);
      await sleep(BEFORE_MS);
      const opened = (await knock(KNOCKERS)).filter((each) => each.connected).length;
      return { rate, sentRate: (await flooding.stop()).rate, opened };
    });
    if (one) rates.push(one);
    if (!one || one.opened < ENOUGH) break;
  }
  const opening = rates.filter(({ opened }) => opened >= ENOUGH);
  return { rate: Math.max(0, ...opening.map(({ rate }) => rate)), rates };
}

async function pkPlayer(lab: BenchLab, undo: AsyncDisposableStack): Promise<Player> {
  const client = undo.use(startClient(lab));
  const fresh = freshSources();
  undo.use(await startPk(lab));
  return {
    name: "pk",
    unit: "SYN/s",
    knock: (count) => visit(client, fresh, { family: "ipv4", count, gapMs: 5, withinMs: 60_000 }),
    flood: (rate) => startFlood(lab.send, WALK, rate),
  };
}

async function knockdPlayer(lab: BenchLab, undo: AsyncDisposableStack) {
  const flood = (rate: number) => startFlood(lab.send, WALK, rate);
  return playerOf(await startKnockd(lab), "SYN/s", flood, lab, undo);
}

async function fwknopPlayer(lab: BenchLab, undo: AsyncDisposableStack) {
  const options = { permissions: ["--allow-ffi"], cpu: 0 };
  const generator = undo.use(program(lab.network.client, "spa_flood.ts", options));
  const send = async (order: unknown) => await generator.order(order) as Sent;
  const flood = (rate: number) => startFlood(send, WALK, rate);
  return playerOf(await startFwknop(lab), "datagrams/s", flood, lab, undo);
}

function playerOf(
  peer: Peer | undefined,
  unit: string,
  flood: Player["flood"],
  lab: BenchLab,
  undo: AsyncDisposableStack,
): Player | undefined {
  if (!peer) return undefined;
  undo.use(peer);
  const client = undo.use(startClient(lab));
  const fresh = freshSources();
  return { name: peer.name, unit, knock: (count) => openedBy(peer, client, fresh, count), flood };
}
