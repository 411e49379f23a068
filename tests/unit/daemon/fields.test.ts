// Ports as they stand in log lines: as short as can be, and read back they are the same.

import fc from "fast-check";
import assert from "node:assert/strict";
import { bySource, portFields, portsText } from "../../../src/daemon/fields.ts";
import type { Grant } from "../../../src/firewall/grant.ts";
import { ipv4, ipv6 } from "../../support/naive_machine.ts";

const port = fc.record({
  protocol: fc.constantFrom("tcp" as const, "udp" as const),
  port: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 65_530, max: 65_535 })),
});

Deno.test("portsText() joins ports that follow each other, tcp before udp, each once", () => {
  const cases: readonly [ports: readonly string[], text: string][] = [
    [[], ""],
    [["tcp/22"], "tcp/22"],
    [["tcp/80", "tcp/82", "tcp/81", "udp/53"], "tcp/80-82,udp/53"],
    [["udp/1", "tcp/1", "udp/2", "tcp/3"], "tcp/1,tcp/3,udp/1-2"],
    [["tcp/9", "tcp/10", "tcp/9"], "tcp/9-10"],
    [["tcp/65535", "tcp/65534"], "tcp/65534-65535"],
  ];
  for (const [ports, text] of cases) assert.equal(portsText(ports.map(parse)), text);
});

Deno.test("portsText() says every port and no other, in as few ranges as there are gaps", () => {
  fc.assert(fc.property(fc.array(port, { maxLength: 40 }), (ports) => {
    const text = portsText(ports);
    const ranges = text === "" ? [] : text.split(",").map((range) => {
      const [, protocol = "", first = "", last = first] =
        /^(tcp|udp)\/(\d+)(?:-(\d+))?$/.exec(range) ?? assert.fail(range);
      return { protocol, first: Number(first), last: Number(last) };
    });
    const said = ranges.flatMap(({ protocol, first, last }) =>
      Array.from({ length: last - first + 1 }, (_, index) => `${protocol}/${first + index}`)
    );
    const meant = new Set(ports.map(({ protocol, port }) => `${protocol}/${port}`));
    assert.deepEqual(said.toSorted(), [...meant].sort());
    const ends = [...meant].filter((one) => !meant.has(next(one)));
    assert.equal(ranges.length, ends.length);
  }));
});

Deno.test("portFields() has a number where it is one TCP port, and a text otherwise", () => {
  assert.deepEqual(portFields([parse("tcp/22")]), { port: 22 });
  assert.deepEqual(portFields([parse("udp/53")]), { ports: "udp/53" });
  assert.deepEqual(portFields(["tcp/22", "tcp/23"].map(parse)), { ports: "tcp/22-23" });
});

Deno.test("bySource() keeps the grants of each source together, in order", () => {
  const grant = (source: Grant["source"], port: number): Grant => (
    { source, protocol: "tcp", port, timeoutMs: 1 }
  );
  const [four, six] = [ipv4(0xc0000201), ipv6(0, 0, 0, 0xc0000201)];
  const found = bySource([grant(four, 2), grant(six, 1), grant({ ...four }, 1)]);
  assert.deepEqual(
    [...found].map(([source, grants]) => [source, grants.map(({ port }) => port)]),
    [["192.0.2.1", [2, 1]], ["::c000:201", [1]]],
  );
});

function parse(text: string) {
  const [protocol, port] = text.split("/");
  return { protocol: protocol === "udp" ? "udp" : "tcp", port: Number(port) } as const;
}

function next(text: string): string {
  const { protocol, port } = parse(text);
  return `${protocol}/${port + 1}`;
}
