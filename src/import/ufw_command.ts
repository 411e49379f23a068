// ufw: allow, limit and their deletion, in the simple and in the full form. ufw(8). Pure.

import type { PortRange, Transport } from "../config/config.ts";
import {
  ADVICE,
  isKnocker,
  type Meaning,
  parsePorts,
  REMARKS,
  serviceOf,
  transportOf,
  unknown,
} from "./meaning.ts";
import { isOpaque } from "./shell_words.ts";

const BOTH: readonly Transport[] = ["tcp", "udp"];
const BOTH_REMARK = "ufw without a protocol opens tcp and udp; leave out what nobody serves.";

/** What one call comes to. */
export function ufwMeaning(words: readonly string[]): Meaning {
  const rest = words.slice(1).filter((word) => word !== "--force");
  const deletes = rest.includes("delete");
  if (deletes && (rest.some(isOpaque) || /^\d+$/.test(rest[rest.indexOf("delete") + 1] ?? ""))) {
    return { kind: "closes", ports: [], everybody: false, remarks: [] };
  }
  if (rest.some(isOpaque)) return unknown(ADVICE.shell);
  if (rest[0] === "route") return unknown(ADVICE.forwarded);
  if (rest[0] === "reload") return { kind: "idle" };

  const remarks: string[] = [];
  let action: string | undefined;
  let source: string | undefined;
  let transport: Transport | undefined;
  let ports: string | undefined;
  let app: string | undefined;
  // A port after "from" is one of the source.
  let side = "to";
  for (let at = 0; at < rest.length; at++) {
    const word = rest[at] ?? "";
    const value = () => rest[++at] ?? "";
    switch (word) {
      case "delete":
      case "rule":
      case "prepend":
      case "in":
      case "log":
      case "log-all":
        break;
      case "insert":
      case "comment":
        at++;
        break;
      case "allow":
      case "limit":
      case "deny":
      case "reject":
        action = word;
        break;
      case "out":
        return unknown(ADVICE.outgoing);
      case "on":
        remarks.push(REMARKS.interface(value()));
        break;
      case "from":
        source = value();
        side = "from";
        break;
      case "to": {
        const address = value();
        if (address !== "any") remarks.push(REMARKS.destination(address));
        side = "to";
        break;
      }
      case "proto": {
        transport = transportOf(value());
        if (transport === undefined) return unknown(ADVICE.protocol);
        break;
      }
      case "port":
        if (side === "from") return unknown(ADVICE.option("A port of the source"));
        ports = value();
        break;
      case "app":
        app = value();
        break;
      default: {
        // The simple form: 22, 22/tcp, ssh, OpenSSH.
        if (action === undefined || ports !== undefined) return unknown(ADVICE.option(word));
        const [simple = "", protocol] = word.split("/");
        ports = simple;
        if (protocol !== undefined) transport = transportOf(protocol);
      }
    }
  }
  if (action === undefined) return unknown(ADVICE.option(rest.slice(0, 2).join(" ")));
  const found = portsOf(ports, app, transport);
  if (found === undefined) {
    return unknown(ports ?? app ? ADVICE.option(ports ?? app ?? "") : ADVICE.allPorts);
  }
  const everybody = source === undefined || source === "any";
  if (!everybody && !isKnocker(source ?? "")) return unknown(ADVICE.otherSource, found);
  const lets = action === "allow" || action === "limit";
  if (found.some(({ protocol }) => protocol === "udp") && transport === undefined) {
    remarks.push(BOTH_REMARK);
  }
  if (action === "limit") remarks.push("ufw limits how often one may connect; pk does not.");
  return { kind: deletes !== lets ? "opens" : "closes", ports: found, everybody, remarks };
}

function portsOf(
  ports: string | undefined,
  app: string | undefined,
  transport: Transport | undefined,
): readonly PortRange[] | undefined {
  const service = serviceOf(app ?? ports ?? "");
  if (service !== undefined) return [service];
  if (ports === undefined) return undefined;
  return parsePorts(ports, transport === undefined ? BOTH : [transport]);
}
